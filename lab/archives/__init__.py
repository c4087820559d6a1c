"""Distribution archives: where they are, private apt roots with checked signatures, roots unpacked from them."""
