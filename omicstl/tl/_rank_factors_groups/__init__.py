"""The parts of `tl.rank_factors_groups`."""
