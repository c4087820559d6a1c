"""A kernel-in-VM test and debugging lab for drivers that watch system calls."""
