"""What every transfer is made of: rows, heads, scores, networks of two domains."""
