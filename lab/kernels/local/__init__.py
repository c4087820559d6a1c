"""Kernels of the user's own, recognised by looking: `path:DIR`."""
