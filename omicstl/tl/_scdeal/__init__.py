"""The parts of `tl.scdeal`."""
