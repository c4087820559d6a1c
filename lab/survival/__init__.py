"""What a driver must survive: conditions that are set in a guest and read back, and what must hold after them."""
