"""What the tests share: the door to the kernel, small markets, short runs, strategies, comparisons and tools."""
