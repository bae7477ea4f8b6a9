"""The size of the house and where its walls leak: a count of `omicstl/`, room by room, now or at a revision.

    python benchmarks/house.py [--before REV [--after REV]] [--names]

Without revisions the work tree is counted; with --before it stands beside a revision, or two revisions beside each other.
Nothing is imported or run: the files are read as text and parsed. --names lists what the numbers stand for.

- A room is a folder directly below `omicstl/`; `.` are the files beside them. Files are Python files, those of data are not counted.
- A code line is neither blank, nor a comment alone, nor part of a docstring (a string that is a statement). Above 400: all lines.
- Positional arguments are those that can be given without a name, without `self` and `cls`; functions in `kernels` and fields do not count.
- The family of a file of `models` is the first folder below it or, where it lies in none, its name up to the first underscore.
  The verb of a file of `tl` is the longest name exported by `tl` that its first folder or its name begins with.
- Imports are counted once for each pair of files, inside functions too, and where `import_module` is given a plain text. Between verbs
  and between families those under TYPE_CHECKING count as well; for circles they do not. A circle is a set of files each of which
  reaches every other by imports; the packages that an import passes through are not part of it.
- A file names a closed form where the class or the string of that name stands in its code.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "omicstl"
SUFFIXES = (".py", ".pyi")
POSITIONAL = 7
LINES = 400
WHOLE = "the whole house"
CLOSED_FORM = ("Coral", "coral")
#: Rooms of `models` from the ground up: a family may stand on those of a lower number.
LEVELS = {"base": 0, "transfer": 1, "shift": 1, "factors": 1, "selection": 2, "adapt": 3, "response": 3, "assess": 4}


class File(NamedTuple):
    """A file of the package; `path` is relative to it."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.parts[0] if len(self.path.parts) > 1 else "."

    @property
    def module(self) -> str:
        parts = (PACKAGE, *self.path.with_suffix("").parts)
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Edge(NamedTuple):
    """One file imports another."""

    source: PurePosixPath
    target: PurePosixPath
    typing_only: bool


class Count(NamedTuple):
    """Files and code lines of each room and of the house, and what is found in it, by name."""

    rooms: dict[str, tuple[int, int]]
    whole: dict[str, list[str]]


def read(revision: str | None) -> list[File]:
    """Parse the files of a revision, or of the work tree."""
    if revision is None:
        folder = ROOT / PACKAGE
        texts = {
            path.relative_to(folder).as_posix(): path.read_text("utf-8")
            for path in folder.rglob("*.py*")
            if path.suffix in SUFFIXES
        }
    else:
        command = ["git", "-C", str(ROOT), "archive", "--format=tar", revision, PACKAGE]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            msg = f"git archive {revision}: {done.stderr.decode().strip()}"
            raise SystemExit(msg)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            opened = {
                member.name: archive.extractfile(member)
                for member in archive
                if PurePosixPath(member.name).suffix in SUFFIXES
            }
            texts = {name.removeprefix(f"{PACKAGE}/"): file.read().decode() for name, file in opened.items() if file}
    return [File(PurePosixPath(name), texts[name], ast.parse(texts[name])) for name in sorted(texts)]


def docstrings(tree: ast.Module) -> list[ast.Constant]:
    """Strings that are statements of their own."""
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return [value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]


def code_lines(file: File) -> int:
    told = {line for text in docstrings(file.tree) for line in range(text.lineno, (text.end_lineno or text.lineno) + 1)}
    lines = enumerate((line.strip() for line in file.text.splitlines()), start=1)
    return sum(bool(line) and not line.startswith("#") and number not in told for number, line in lines)


def wide_functions(file: File) -> list[str]:
    """Functions that take too much by position."""
    found = []
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and file.room != "kernels":
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            if len(names) - (names[:1] in (["self"], ["cls"])) > POSITIONAL:
                found.append(f"{file.path}:{node.lineno} {node.name}")
    return found


def statements(node: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes below one, and whether they lie under ``if TYPE_CHECKING``."""
    guarded = node.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) else []
    for child in ast.iter_child_nodes(node):
        below = typing_only or child in guarded
        yield child, below
        yield from statements(child, below)


def imported(file: File, node: ast.AST) -> list[str]:
    """Full names that a statement imports, ``module.name`` for each name that is taken from a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        folder = [PACKAGE, *file.path.parts[:-1]]
        base = folder[: len(folder) + 1 - node.level] if node.level else []
        return [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [name.value for name in node.args if isinstance(name, ast.Constant) and isinstance(name.value, str)]
    return []


def edges(files: list[File]) -> list[Edge]:
    """Imports between files of the package, one for each pair; it is typing only where all of them are."""
    paths = {file.module: file.path for file in files}
    found: dict[tuple[PurePosixPath, PurePosixPath], bool] = {}
    for file in files:
        for node, typing_only in statements(file.tree):
            for name in imported(file, node):
                target = paths.get(name) or paths.get(name.rpartition(".")[0])
                if target is not None and target != file.path:
                    pair = (file.path, target)
                    found[pair] = found.get(pair, True) and typing_only
    return [Edge(*pair, typing_only) for pair, typing_only in found.items()]


def verbs(files: list[File]) -> list[str]:
    """Names that `tl` takes from its own files, the longest first."""
    door = [file for file in files if str(file.path).startswith("tl/__init__.py")]
    taken = [name for file in door for node in ast.walk(file.tree) for name in imported(file, node)]
    return sorted({name.split(".")[-1] for name in taken if name.startswith(f"{PACKAGE}.tl.")}, key=len, reverse=True)


def verb_of(path: PurePosixPath, known: Iterable[str]) -> str | None:
    """Return the verb that a file of `tl` belongs to; `None` for the door and for what all verbs share."""
    name = PurePosixPath(path.parts[1]).stem.removeprefix("_")
    return next((verb for verb in known if name == verb or name.startswith(f"{verb}_")), None)


def family_of(path: PurePosixPath) -> str | None:
    """Return the family that a file of `models` belongs to; `None` for the door."""
    name = path.parts[1]
    return None if name == "__init__.py" else name if len(path.parts) > 2 else name.removesuffix(".py").split("_")[0]


def crossing(pairs: list[Edge], owner: dict[PurePosixPath, str | None]) -> list[str]:
    """Imports from a file of one owner into a file of another."""
    known = [(edge, owner.get(edge.source), owner.get(edge.target)) for edge in pairs]
    return [f"{edge.source} -> {edge.target}" for edge, mine, theirs in known if mine and theirs and mine != theirs]


def circles(pairs: list[Edge]) -> list[list[str]]:
    """Sets of files that reach each other by imports."""
    after: dict[str, set[str]] = {}
    for edge in [edge for edge in pairs if not edge.typing_only]:
        after.setdefault(str(edge.source), set()).add(str(edge.target))
    reached: dict[str, set[str]] = {start: set() for start in after}
    for start, seen in reached.items():
        waiting = [start]
        while waiting:
            new = after.get(waiting.pop(), set()) - seen
            seen |= new
            waiting.extend(new)
    rings = {frozenset(b for b in reached[a] if a in reached.get(b, ())) for a in reached if a in reached[a]}
    return sorted(sorted(ring) for ring in rings)


def naming_lines(file: File) -> list[int]:
    """Lines of code that name the closed form."""
    told = {id(text) for text in docstrings(file.tree)}
    found = set()
    for node in ast.walk(file.tree):
        text = isinstance(node, ast.Constant) and node.value in CLOSED_FORM and id(node) not in told
        if text or CLOSED_FORM[0] in (getattr(node, field, None) for field in ("id", "attr", "name")):
            found.add(getattr(node, "lineno", 0))
    return sorted(found)


def count(files: list[File]) -> Count:
    pairs, known = edges(files), verbs(files)
    verb = {file.path: verb_of(file.path, known) for file in files if file.room == "tl"}
    family = {file.path: family_of(file.path) for file in files if file.room == "models"}
    rooms = {room: [file for file in files if file.room == room] for room in {file.room for file in files}}
    sizes = {room: (len(inside), sum(map(code_lines, inside))) for room, inside in (rooms | {WHOLE: files}).items()}
    rings, form = circles(pairs), CLOSED_FORM[0]
    named = {str(file.path): lines for file in files if (lines := naming_lines(file))}
    whole = {
        f"functions with more than {POSITIONAL} positional arguments": sum(map(wide_functions, files), []),
        f"files above {LINES} lines": [str(file.path) for file in files if len(file.text.splitlines()) > LINES],
        "imports from a verb of tl into another's files": crossing(pairs, verb),
        "imports from a family of models into another": crossing(pairs, family),
        "of these, into one that is not below it": [
            f"{edge.source} -> {edge.target}"
            for edge in pairs
            if (mine := family.get(edge.source)) and (theirs := family.get(edge.target)) and mine != theirs
            if not LEVELS.get(theirs, 9) < LEVELS.get(mine, 9 + (mine == "kinds"))
        ],
        "circles of imports": [", ".join(ring) for ring in rings],
        "files in circles of imports": [path for ring in rings for path in ring],
        f"files that name {form}": list(named),
        f"lines that name {form}": [f"{path}:{line}" for path, lines in named.items() for line in lines],
    }
    return Count(sizes, whole)


def show(counts: dict[str, Count], *, names: bool) -> None:
    """Print the counts of one tree, or of two side by side."""
    trees = list(counts.values())
    heads = [f"{what} {title}".rstrip() for what in ("files", "code lines") for title in counts]
    print("room".ljust(50) + "".join(head.rjust(18) for head in heads))
    for room in sorted({room for tree in trees for room in tree.rooms}, key=lambda room: (room == WHOLE, room)):
        sizes = [tree.rooms.get(room, (0, 0))[column] for column in (0, 1) for tree in trees]
        print(room.ljust(50) + "".join(f"{size:,}".rjust(18) for size in sizes))
    print(f"\nin {WHOLE}".ljust(51) + "".join(title.rjust(18) for title in counts))
    for what in trees[0].whole:
        print(what.ljust(50) + "".join(f"{len(tree.whole[what]):,}".rjust(18) for tree in trees))
    for title, tree in counts.items():
        for what, found in tree.whole.items():
            if found and (names or what == "circles of imports"):
                print("\n  ".join([f"\n{what} {title}".rstrip() + ":", *found]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", metavar="REV", help="revision to stand beside the work tree, or beside --after")
    parser.add_argument("--after", metavar="REV", help="revision in place of the work tree")
    parser.add_argument("--names", action="store_true", help="list what the numbers stand for")
    given = parser.parse_args()
    if given.after and not given.before:
        parser.error("--after needs --before")
    trees = {"before": given.before, "after": given.after} if given.before else {"": None}
    show({title: count(read(revision)) for title, revision in trees.items()}, names=given.names)


if __name__ == "__main__":
    main()
