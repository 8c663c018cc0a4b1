"""Components: thin faces over the state of one run (`run_state`), each for one idea."""
