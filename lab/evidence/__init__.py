"""What is collected from a machine, and what it means."""
