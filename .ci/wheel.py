"""Check what is in a wheel: everything the package needs at run time, nothing else, and no heavy data."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

MEGABYTE = 10**6
NEEDED = (
    "omicstl/py.typed",
    "omicstl/tl/__init__.pyi",
    "omicstl/_core/references.bib",
    "omicstl/__main__.py",
    "omicstl/cli.py",
)


def problems(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    found = [f"{name} is missing" for name in NEEDED if name not in sizes]
    found += [f"{name} does not belong there" for name in sizes if not name.startswith(("omicstl/", "omicstl-"))]
    found += [f"{name} is a pickle" for name in sizes if name.endswith((".pkl", ".pickle", ".rds"))]
    data = {
        name: size for name, size in sizes.items() if not name.endswith((".py", ".typed")) and "dist-info" not in name
    }
    found += [f"{name} has {size / MEGABYTE:.1f} MB, at most 5" for name, size in data.items() if size > 5 * MEGABYTE]
    total = sum(data.values())
    if total > 8 * MEGABYTE:
        found.append(f"the data have {total / MEGABYTE:.1f} MB, at most 8")
    print(
        f"{wheel.name}: {len(sizes)} files, data {total / MEGABYTE:.2f} MB, wheel {wheel.stat().st_size / MEGABYTE:.2f} MB"
    )
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems(Path(sys.argv[1]))) or None)
