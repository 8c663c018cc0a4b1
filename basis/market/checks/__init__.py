"""What can be wrong with market data: `rules` looks at one series, `cross` at several, `run` at those of a run.

`basis data check` (`basis.market.quality`) and every run use the same rules; `file_rules` are for files as they are,
and for `basis data check` alone. May import `basis.errors`, numpy and the rest of `basis.market`.
"""
