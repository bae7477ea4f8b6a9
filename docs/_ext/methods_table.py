"""Write the API pages and the map of methods from the package itself: its doors and its table of records."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from omicstl._core.registry import Record, records

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOORS = {
    "tl": "Tools",
    "pp": "Preprocessing",
    "pl": "Plots",
    "metrics": "Metrics",
    "get": "Getters",
    "io": "Files",
    "datasets": "Data sets",
}
WORDS = {
    "instances": "samples or cells of the source are used again",
    "features": "a representation learnt on the source",
    "parameters": "parameters of a fitted model",
    "relations": "relations between variables, such as pathways or networks",
    "transductive": "the target is seen while learning, without labels",
    "inductive": "what is learnt serves rows that were not seen; labels of some target rows may be known",
    "unsupervised": "no labels on either side",
    "counts": "raw counts",
    "log": "log-transformed (log1p CPM, or log2 arrays)",
    "zscore": "z-scores",
    "any": "any",
}


def heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def literals(values: tuple[str, ...]) -> str:
    return ", ".join(f"``{value}``" for value in values)


def explained(values: tuple[str, ...]) -> str:
    return "; ".join(f"{value} ({WORDS[value]})" if value in WORDS else value for value in values)


def card(record: Record) -> list[str]:
    """What the record says of a verb, as a list of fields."""
    fields = {
        "Transfers": explained(record.transfers),
        "Setting": explained(record.setting),
        "Data scale": WORDS.get(record.scale, record.scale),
        "Layouts": ", ".join(record.layouts),
        "Writes": literals(record.writes) or "nothing",
        "Sometimes": literals(record.sometimes),
        "Cite": ", ".join(f":cite:t:`{key}`" for key in record.citations),
    }
    return ["", *(f":{name}: {value}" for name, value in fields.items() if value), ""]


def functions(door: str) -> list[str]:
    return [name for name in importlib.import_module(f"omicstl.{door}").__all__ if not name.startswith("_")]


def door_page(door: str, title: str, rows: dict[str, Record]) -> str:
    module = importlib.import_module(f"omicstl.{door}")
    lines = [
        *heading(f"{title}: ``omicstl.{door}``", "="),
        inspect.getdoc(module) or "",
        "",
        ".. currentmodule:: omicstl",
        "",
    ]
    for name in functions(door):
        kind = "autoclass" if inspect.isclass(getattr(module, name)) else "autofunction"
        lines += [*heading(f"``{door}.{name}``", "-"), f".. {kind}:: omicstl.{door}.{name}", ""]
        for row in rows.values():
            if row.verb == f"{door}.{name}":
                lines += [".. rubric:: In the table of methods", *card(row)]
    return "\n".join(lines)


def methods_page(rows: dict[str, Record]) -> str:
    lines = heading("Methods: a map of transfer", "=")
    lines += [
        "What each method transfers, and in which setting, in the words of the survey literature on transfer learning.",
        "Below the table stands what each reads and writes. ``python -m omicstl methods`` prints the same, and",
        "``omicstl.cite(adata)`` writes the methods paragraph and the BibTeX of what was run on an object.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: auto",
        "",
    ]
    table = [("Method", "Verb", "Transfers", "Setting", "Scale", "Cite")]
    for name, row in sorted(rows.items()):
        door = row.verb.split(".")[0]
        verb = f":py:func:`{row.verb} <omicstl.{row.verb}>`" if door in DOORS else f"``{row.verb}``"
        cite = ", ".join(f":cite:t:`{key}`" for key in row.citations)
        what = (f"{row.title} (``{name}``)", verb, ", ".join(row.transfers), ", ".join(row.setting))
        table.append((*what, row.scale, cite))
    for cells in table:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]
    lines.append("")
    for _, row in sorted(rows.items()):
        lines += [*heading(row.title, "-"), row.summary, *card(row)]
    lines += [*heading("Words", "-")]
    lines += [f"``{word}``\n   {meaning}\n" for word, meaning in WORDS.items()]
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Write only what changed, so that sphinx rebuilds only what changed."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def generate(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "api" / "generated"
    rows = records()
    for door, title in DOORS.items():
        write(folder / f"{door}.rst", door_page(door, title, rows))
    write(folder / "methods.rst", methods_page(rows))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
