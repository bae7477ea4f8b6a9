"""The parts of `tl.project`."""
