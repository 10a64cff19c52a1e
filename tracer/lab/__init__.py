"""Virtual machines with other kernels that run commands; it knows nothing of experiments or of what is observed."""
