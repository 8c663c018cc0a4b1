"""The figures of a run, by subject. Each function makes a `Picture` from the numbers of a run; none of them draws."""
