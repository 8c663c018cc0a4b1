"""Figures of a run: plotly for the screen, matplotlib for print, with one theme and the same numbers for both.

`figures` turns the numbers of a run (`data.RunData`) into a `picture.Picture`, and `backends` draws it. No number is
computed twice, and drawing needs no run. The package takes arrays, not results: it imports only `basis.errors` of the
rest of `basis`, and plotly and matplotlib only when a figure is drawn.
"""
