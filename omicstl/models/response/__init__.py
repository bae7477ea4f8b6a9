"""Drug response of cells, learnt from lines."""
