"""Kernels of distributions: an archive's packages as a catalogue, and a kernel out of them."""
