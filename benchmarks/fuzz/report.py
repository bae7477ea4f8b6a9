"""What the campaign found, as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from .pool import FINDINGS
from .scenes import PARTS

_TITLES = {
    "text": "poor text",
    "nan": "silent NaN",
    "different": "other result",
    "raw": "raw error",
    "changed": "changed object",
}


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Counts by door and part, in Markdown."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["verdict"] == "impossible":
            continue
        where = row["function"].rpartition(".")[0] or "otl" if row["part"] == "examples" else row["part"]
        found[where][row["verdict"]] += 1
        found["all"][row["verdict"]] += 1
    head = (
        "",
        "cases",
        "answered",
        "handed on",
        "refused",
        "stopped by Ctrl-C",
        *(_TITLES.get(k, k) for k in FINDINGS),
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for where in sorted(found, key=lambda name: (name == "all", name in PARTS, name)):
        counts = found[where]
        numbers = [sum(counts.values()), *(counts[k] for k in ("returned", "carried", "refused", "long", *FINDINGS))]
        lines.append(f"| {where} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    return "\n".join(lines)


def summary(rows: list[dict[str, Any]]) -> str:
    """The table, the time, and the findings by place."""
    seconds = sum(row.get("seconds", 0) for row in rows)
    examples = [row for row in rows if row["part"] == "examples" and row.get("seconds")]
    each = 1000 * sum(row["seconds"] for row in examples) / max(len(examples), 1)
    compiled = sum(row.get("compiled", 0) for row in rows)
    broken = [row for row in rows if row["verdict"] == "broken campaign"]
    lines = [
        table(rows),
        "",
        f"{seconds / 3600:.2f} hours in calls and their checks; {each:.0f} ms an example; {compiled} compilations in {len(examples)} examples.",
    ]
    if broken:
        lines.append(f"{len(broken)} examples could not be judged: {broken[0]['text'][-300:]}")
    return "\n".join([*lines, "", findings(rows)])


def findings(rows: Iterable[Mapping[str, Any]]) -> str:
    """Every kind of finding by its place, most frequent first, with a line that shows it again."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["verdict"] in FINDINGS:
            groups[row["verdict"], _group(row)].append(row)
    if not groups:
        return "Nothing was found."
    lines = []
    for (kind, where), found in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = found[0]
        functions = Counter(row["function"] for row in found)
        lines += [
            f"{len(found):5d} × {_TITLES.get(kind, kind)} at {where} ({', '.join(f'{n} {c}' for n, c in functions.most_common(4))})",
            f"        {first.get('error', '')}: {str(first.get('text', '')).strip()[:160]!r} {first.get('paths', '')}",
            f"        {first.get('changes', '')}",
            f"        python benchmarks/campaign.py --replay {first['function'] if first['part'] == 'examples' else first['part']}:{first['number']}",
        ]
    return "\n".join(lines)


def _group(row: Mapping[str, Any]) -> str:
    if row.get("where"):
        return str(row["where"])
    paths = [str(path).split("/")[0] for path in row.get("paths", ())[:1]]
    kinds = sorted({change[0] for change in row.get("changes") or ()})
    return " ".join([row["function"], *paths, *kinds])
