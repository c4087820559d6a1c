"""Kernels that the lab compiles itself, small and made for debugging: `build:6.12+kgdb`."""
