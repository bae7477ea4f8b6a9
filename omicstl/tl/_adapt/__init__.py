"""The parts of `tl.adapt`."""
