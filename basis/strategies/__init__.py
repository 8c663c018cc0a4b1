"""Strategies: what to hold. One file per mode, built by `factory`."""
