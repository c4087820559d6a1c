"""Looking into a running guest from outside: QEMU's gdb stub, symbols, stacks, dumps, the kernel's own debugger."""
