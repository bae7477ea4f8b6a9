"""Labels carried from some domains to another."""
