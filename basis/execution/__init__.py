"""Execution: actions become orders, orders go to venues. One client per venue behind one interface."""
