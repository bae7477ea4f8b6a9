"""The parts of `tl.attributions`."""
