"""Drawing of a `Picture`: with plotly for the screen, with matplotlib for print, and inside an HTML page."""
