"""The parts of `tl.deepprofile`."""
