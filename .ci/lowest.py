"""Print the lowest versions that pyproject.toml claims, one pin a line: the requirements of a smoke run."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def pins(requirements: list[str]) -> list[str]:
    """Turn ``name[extra]>=1.2,!=1.4`` into ``name[extra]==1.2``; a requirement without a lower bound is an error."""
    found = []
    for requirement in requirements:
        match = re.match(r"([A-Za-z0-9_.-]+(?:\[[A-Za-z0-9_,.-]+\])?)\s*>=\s*([0-9][0-9a-z.]*)", requirement)
        if match is None:
            msg = f"{requirement!r} in pyproject.toml has no lower bound. Write it as 'name>=version'."
            raise ValueError(msg)
        found.append(f"{match[1]}=={match[2]}")
    return found


if __name__ == "__main__":
    project = tomllib.loads(Path(sys.argv[1] if len(sys.argv) > 1 else "pyproject.toml").read_text())["project"]
    print("\n".join(pins(project["dependencies"])))
