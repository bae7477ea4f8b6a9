"""One record per method: ``<name>.py`` defines ``RECORD``."""
