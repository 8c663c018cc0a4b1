"""Figures in notebooks: drawn by JupyterLab itself, and in an exported page without a network."""

from typing import Any

from basis.errors import InputError

#: The plotting library as a text, which a page that has no other takes for its script. JupyterLab brings its own.
_LIBRARY = """<script type="text/plain" class="basis-plotly">{library}</script>
<script>
(() => {{
  const texts = document.querySelectorAll("script.basis-plotly");
  if (window.Plotly || document.getElementById("jupyter-config-data") || !texts.length) return;
  const script = document.createElement("script");
  script.textContent = texts[texts.length - 1].textContent;
  document.head.appendChild(script);
}})();
</script>"""


def show_figures() -> None:
    """Make plotly show the figures of a notebook where it is looked at: in JupyterLab, and as an exported page.

    It is said once, in a cell at the top, and leaves the plotting library (5 MB) in the output of that cell. With
    plotly's own ``plotly_mimetype+notebook`` JupyterLab, which has the library, reads it a second time (the page stands
    still for a second or two), and an exported page asks the network for MathJax.

    Raises
    ------
    InputError
        Outside of IPython, where nothing can be shown.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display_html
    from plotly import io
    from plotly.io.base_renderers import MimetypeRenderer

    from basis.plots.embed import plotly_js

    if get_ipython() is None:
        raise InputError(
            "show_figures() was called outside of a notebook. It is for cells; elsewhere show a figure with "
            "figure.show(), which opens a browser, or save it with figure.write_html(file)."
        )

    class Page(MimetypeRenderer):
        """Figures of an exported page, which asks the network for nothing."""

        def to_mimebundle(self, fig_dict: Any) -> dict[str, str]:
            html = io.to_html(
                fig_dict,
                include_plotlyjs=False,
                include_mathjax=False,
                full_html=False,
                default_height=525,
                validate=False,
            )
            return {"text/html": html}

    renderers: Any = io.renderers
    renderers["basis"] = Page()
    renderers.default = "plotly_mimetype+basis"
    display_html(_LIBRARY.format(library=plotly_js()), raw=True)
