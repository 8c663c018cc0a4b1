"""Pictures of a run: plotly for the screen, matplotlib for print, one theme and one preparation for both.

`prepare` makes a `pictures.Picture` from a run's numbers, `figures` draws it with plotly, `print` with matplotlib and
`embed` in a page; so no number is worked out twice, and no drawing needs a run. Takes arrays, not results: of the
package it imports `basis.errors` only, and plotly and matplotlib no sooner than a figure is drawn.
"""
