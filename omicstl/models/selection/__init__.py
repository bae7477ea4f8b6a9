"""Choice without labels of the target."""
