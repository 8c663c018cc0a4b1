"""Kernel: the recurrence of an hour, compiled. Imports numpy and numba only."""
