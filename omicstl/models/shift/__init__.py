"""How two domains differ, and weights that undo it."""
