"""Print a command of the README, so that what is tested is what newcomers read.

A command is the bash block below a mark: ``<!-- ci: demo -->`` or ``<!-- ci: test -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def command(text: str, name: str) -> str:
    found = re.findall(rf"<!-- ci: {re.escape(name)} -->\s*```bash\n(.*?)```", text, flags=re.DOTALL)
    if len(found) != 1:
        msg = f"README.md must have one bash block marked '<!-- ci: {name} -->', found {len(found)}."
        raise ValueError(msg)
    return found[0].strip()


if __name__ == "__main__":
    print(command(Path("README.md").read_text(), sys.argv[1]))
