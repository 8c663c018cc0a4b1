"""Market series as a data set holds them: read, checked, and answered for at an instant.

`clock` (instants), `reader` (files), `bars` (candles), `observed` (Aave, LST, gas), `funding` (settlements). May import
numpy, pyarrow (while reading) and `basis.errors`. Nothing here knows a run: every answer depends on the files and the
instant alone, so two windows over one data set agree on the rows they share.
"""
