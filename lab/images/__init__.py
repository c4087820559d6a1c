"""What a guest boots from: a root image made from a recipe, and an initrd made for a kernel."""
