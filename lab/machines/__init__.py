"""Machines: a spec (pure) becomes a QEMU command line; one module starts it, others speak with the guest."""
