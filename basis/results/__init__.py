"""What a run is: its tables, summary, measures and folder, and running it again.

Above the engine; below `basis.reports`, which turns a run into frames, figures and reports. This package imports
nothing of `basis.reports` and `basis.plots`.
"""
