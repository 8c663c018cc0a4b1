"""Figures in notebooks: drawn by JupyterLab, and in an exported page that needs no network."""

from typing import Any

from basis.errors import InputError

#: The plotting library as inert text. A page without plotly runs it as a script; JupyterLab has its own copy.
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
    """Make plotly show the figures of a notebook, in JupyterLab and in an exported page without a network.

    Call it once, in a cell at the top. It leaves the plotting library (5 MB) in the output of that cell. Plotly's own
    renderer ``plotly_mimetype+notebook`` makes JupyterLab load the library a second time, which freezes the page for a
    second or two, and makes an exported page load MathJax from the network.

    Raises
    ------
    InputError
        Outside of IPython.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display_html
    from plotly import io
    from plotly.io.base_renderers import MimetypeRenderer

    from basis.plots.backends.html_embed import plotly_js

    if get_ipython() is None:
        raise InputError(
            "show_figures() works only in a notebook. Elsewhere, show a figure with figure.show(), which opens a "
            "browser, or save it with figure.write_html(file)."
        )

    class Page(MimetypeRenderer):
        """Figures of an exported page that loads nothing from the network."""

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
