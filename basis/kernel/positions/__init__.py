"""One file for each kind of position: its fills, its settlement, its liquidation, and what its price and yield earn."""
