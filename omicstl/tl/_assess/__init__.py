"""The parts of `tl.assess`."""
