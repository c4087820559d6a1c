"""Kernels out of registries' images: `oci:REF`."""
