"""How quick a fork is on this machine: measured, set beside what it replaces, and told with all that decides it."""
