"""The campaign against the package: drawn examples of every function, each judged; cut-off runs; and a report.

    python benchmarks/campaign.py [--minutes 60] [--workers 2] [--function tl.project] [--examples 200]
    python benchmarks/campaign.py --part killed [--examples 20]
    python benchmarks/campaign.py --report
    python benchmarks/campaign.py --replay tl.project:137
    python benchmarks/campaign.py --self-check

A run goes on where the last one ended: what is done stands in `.campaign/`, a line a case. `docs/guide/reliability.md` says what
is promised and how it is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from fuzz import pool, report, worker  # noqa: E402 - after the path
from fuzz.scenes import PARTS  # noqa: E402

FOLDER = Path(".campaign").resolve()
VERB, OTHER = 2000, 200


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--function", action="append", help="only this one, such as tl.project; may be given again")
    parser.add_argument("--part", action="append", choices=[*PARTS], help="only cases of this kind; may be given again")
    parser.add_argument(
        "--examples", type=int, help=f"of each function or part; {VERB:,} of verbs and {OTHER} of others by default"
    )
    parser.add_argument("--minutes", type=float, help="end after this time")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other examples")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where results are kept")
    parser.add_argument("--report", action="store_true", help="print what was found so far")
    parser.add_argument("--replay", metavar="NAME:NUMBER", help="run one example again and say all about it")
    parser.add_argument("--self-check", action="store_true", help="see that broken functions are found")
    return parser.parse_args()


def wanted(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Functions and parts, and how many examples of each; verbs first, as they take longest."""
    parts = [(name, options.examples or PARTS[name][1]) for name in options.part or PARTS]
    if options.part:
        return parts
    from fuzz.subjects import VERBS, subjects

    verbs = {row.name for row in VERBS}
    known = [name for name in subjects() if not name.startswith("broken.")]
    names = options.function or known
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"{unknown} are no public functions. Known: {', '.join(known)}.")
    found = [(name, options.examples or (VERB if name in verbs else OTHER)) for name in names]
    return found if options.function else [*found, *parts]


def replay(name: str, number: int, options: argparse.Namespace, results: pool.Results) -> None:
    """One example again, in a process of its own, and each of its changes alone."""
    wanted = ("examples", name, number, options.seed)
    known = [row for row in results.rows if (row["part"], row["function"], row["number"], row["seed"]) == wanted]
    changes = known[-1].get("changes") if known else None

    def again(changes: list | None) -> dict:
        child = pool.Child(options.folder, options.folder / "cache")
        try:
            return child.example(name, changes, number, options.seed)
        finally:
            child.stop()

    found = again(changes)
    print(json.dumps(found, indent=1, default=str))
    if name not in PARTS and len(found.get("changes") or ()) > 1:
        for change in found["changes"]:
            print("alone:", change, again([change])["verdict"])


def main() -> None:
    options = arguments()
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / ".gitignore").write_text("*\n")
    results = pool.Results(options.folder / "results.jsonl")
    if options.report:
        print(report.summary(results.rows))
    elif options.replay:
        name, _, number = options.replay.rpartition(":")
        replay(name, int(number), options, results)
    elif options.self_check:
        rows = list(pool.self_check(options.folder))
        for name, verdict, due in rows:
            print(f"{name}: {verdict}" + ("" if verdict == due else f", and {due} is due"))
        sys.exit(any(verdict != due for _, verdict, due in rows))
    else:
        os.environ.update(worker.environment(options.folder / "cache"))
        pool.campaign(
            wanted(options),
            results,
            options.folder,
            seed=options.seed,
            workers=options.workers,
            minutes=options.minutes,
        )
        print(report.summary(results.rows))


if __name__ == "__main__":
    main()
