"""The parts of the campaign: what is called, what is changed, how it is judged, and who runs it."""
