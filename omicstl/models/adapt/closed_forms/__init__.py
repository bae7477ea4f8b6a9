"""Ways to bring domains together that are solved: a file each, with a class that it names METHOD."""
