"""Components: thin faces over the state of one run, each one idea (`book` is what they share)."""
