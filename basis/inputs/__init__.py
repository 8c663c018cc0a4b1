"""From a configuration and a market to what the kernel reads."""
