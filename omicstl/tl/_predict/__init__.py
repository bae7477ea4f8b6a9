"""The parts of `tl.predict`."""
