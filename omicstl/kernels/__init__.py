"""Numerical functions: arrays in, named tuples out, no state."""
