"""The parts of `tl.plier`."""
