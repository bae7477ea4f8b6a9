"""Rules that weight source rows like target rows: a file each, with a `Rule` that it names METHOD."""
