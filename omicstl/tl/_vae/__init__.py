"""The parts of `tl.vae`."""
