"""What needs kernels that the lab compiled: `make debug-kernels` makes them and runs this, nothing else collects it."""
