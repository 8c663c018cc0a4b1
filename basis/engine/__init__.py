"""Engine: drives the recurrence over a market. Imports everything below results."""
