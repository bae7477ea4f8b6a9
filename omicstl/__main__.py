"""``python -m omicstl``."""

import sys

from omicstl.cli import main

if __name__ == "__main__":
    sys.exit(main())
