"""Values of an R list in an ``.rds`` file: checked as a stream, then decoded by `rdata` one at a time.

`rdata` believes every length that a file declares, and holds the whole file in memory several times. So the file is read
twice in small pieces here. The first pass checks each value against a short list of plain types and each length against
what is allowed and what is there, and learns the names of the list, which R writes last. The second pass copies the values
that are wanted, each as an ``.rds`` of its own without references; the others are never held.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from omicstl._core.checks import listed

from ._bounded import PIECE, Bounded
from ._rds_values import Value, decode

MAX_HELD = 2 * 2**30  # bytes of one value that is kept
MAX_ITEMS = 1_000_000  # strings and nested values in a file
MAX_DEPTH = 24
MAX_TEXT = 2**20
MAX_SYMBOLS = 16 * 2**20  # bytes of all symbols together, which are kept to the end; R allows 10,000 for one

SYMBOL, PAIRS, CHAR, LOGICAL, INTEGER, REAL, STRINGS, LIST = 1, 2, 9, 10, 13, 14, 16, 19
ALTREP, NIL, REFERENCE = 238, 254, 255
WIDTH = {LOGICAL: 4, INTEGER: 4, REAL: 8}
OTHERS = {
    **dict.fromkeys((4, 241, 242, 249, 253), "an environment"),
    **dict.fromkeys((3, 7, 8, 21), "a function"),
    **dict.fromkeys((5, 6, 20, 239, 240), "code"),
    15: "complex numbers",
    22: "an external pointer",
    23: "a weak reference",
    24: "raw bytes",
    25: "an S4 object, such as a sparse matrix (as.matrix() makes it a plain one)",
}
HAS_ATTRIBUTES, HAS_TAG = 0x200, 0x400
VECTOR = 0xFFFF3FF
#: Flags that mean something for a type; the rest is cleared, so that `rdata` reads what was checked.
MEANT = {NIL: 0xFF, CHAR: 0xFFFF0FF, ALTREP: 0xFFFF1FF, PAIRS: 0x5FF, **dict.fromkeys((*WIDTH, STRINGS, LIST), VECTOR)}
HEADER = b"X\n" + struct.pack(">iii", 2, 0x30600, 0x20300)
#: What `rdata` raises where a file is not what it should be.
BROKEN = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
)
SAVE = "write it again in R: saveRDS(plierResult, 'plier.rds')"


def read_list(path: Path, wanted: Iterable[str], rdata: ModuleType) -> dict[str, Value]:
    """Read the `wanted` values of the R list in `path`, by name; NULL and absent ones are left out."""
    wanted = frozenset(wanted)
    names = _names(path, rdata)
    if not wanted & set(names):
        msg = f"it is no PLIER result: its list has {listed(names) if names else 'no names'}"
        raise ValueError(msg)
    twice = sorted({name for name in wanted if names.count(name) > 1})
    if twice:
        msg = f"its list has more than one {listed(twice)}"
        raise ValueError(msg)
    found = {}
    with _Walk(path) as walk:
        walk.start()
        for name in names:
            kept = bytearray(HEADER) if name in wanted else None
            walk.copy(kept)
            if kept is not None:
                value = _parse(kept, rdata)
                if value is not None:
                    found[name] = value
    return found


def _names(path: Path, rdata: ModuleType) -> list[str]:
    """Check the whole file; the names of its list."""
    with _Walk(path) as walk:
        flags, length = walk.start()
        for _ in range(length):
            walk.copy(None)
        if not flags & HAS_ATTRIBUTES:
            return []
        kept = bytearray(HEADER + struct.pack(">ii", LIST | HAS_ATTRIBUTES, 0))
        walk.copy(kept)
        if walk.stream.read(1):
            msg = f"it goes on after the end of its list; {SAVE}"
            raise ValueError(msg)
    attributes = getattr(_parse(kept, rdata), "attributes", {})
    if "data.frame" in (attributes["class"].strings() or () if "class" in attributes else ()):
        msg = "it holds a data frame, not the list that PLIER returns"
        raise ValueError(msg)
    names = attributes["names"].strings() if "names" in attributes else None
    if names is not None and len(names) != length:
        msg = f"its list has {length} values and {len(names)} names"
        raise ValueError(msg)
    return [str(name) for name in names or ()]


def _parse(kept: bytearray, rdata: ModuleType) -> Value | None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = rdata.parser.parse_data(kept, extension=".rds", altrep_constructor_dict=_compact_forms(rdata))
    return decode(parsed.object)


def _compact_forms(rdata: ModuleType) -> dict[bytes, Callable[[Any], Any]]:
    """`rdata`'s makers of vectors that R stores as a rule (1:n), which refuse an n that would fill the memory."""
    left = MAX_ITEMS

    def bounded(name: bytes, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def checked(state: Any) -> Any:
            nonlocal left
            length = len(state.value[0].value) if name == b"deferred_string" else float(state.value[0])
            if not 0 <= length <= left:
                msg = f"it declares a vector of {length:,.0f} elements in compact form"
                raise ValueError(msg)
            left -= int(length)
            return make(state)

        return checked

    forms: dict[bytes, Callable[[Any], Any]] = dict(rdata.parser.DEFAULT_ALTREP_MAP)
    return {name: make if name.startswith(b"wrap_") else bounded(name, make) for name, make in forms.items()}


class _Walk:
    """One pass over the values of a file."""

    def __init__(self, path: Path) -> None:
        self.stream = io.BufferedReader(Bounded(path), PIECE)
        self.symbols: list[bytes] = []
        self.symbol_bytes = 0
        self.left = MAX_ITEMS

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def start(self) -> tuple[int, int]:
        """Read up to the first value of the list: its flags and its length."""
        head = self._take(2)
        if head != b"X\n":
            workspace = (
                "it is a workspace of R (save()), not one object" if head == b"RD" else "it is no binary .rds file"
            )
            msg = f"{workspace}; {SAVE}"
            raise ValueError(msg)
        version, *_ = (self._int() for _ in range(3))
        if version not in (2, 3):
            msg = f"its format has version {version}, known are 2 and 3"
            raise ValueError(msg)
        if version == 3:
            self._take(_within(self._int(), 64))  # the encoding that was native
        flags = self._int()
        if flags & 0xFF != LIST:
            msg = f"it holds {OTHERS.get(flags & 0xFF, 'no list')}, not the list that PLIER returns"
            raise ValueError(msg)
        return flags, _within(self._int(), MAX_ITEMS)

    def copy(self, out: bytearray | None, depth: int = 0, only: int | None = None) -> int:
        """Copy the next value to `out` (`None` leaves it out) and return its type; refuse what is no plain data."""
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            msg = f"its values are nested more than {MAX_DEPTH} deep, or are more than {MAX_ITEMS:,}"
            raise ValueError(msg)
        flags = self._int()
        kind = flags & 0xFF
        if only not in (None, kind):
            msg = "it is damaged: a name or a string is none"
            raise ValueError(msg)
        if kind == REFERENCE:  # symbols are all that can be referred to, as all else with references is refused
            index = flags >> 8 or self._int()
            if not 1 <= index <= len(self.symbols):
                msg = "it is damaged: a reference points nowhere"
                raise ValueError(msg)
            _write(out, self.symbols[index - 1])
            return SYMBOL
        if kind == SYMBOL:
            symbol = bytearray(struct.pack(">i", SYMBOL))
            self.copy(symbol, depth + 1, CHAR)
            self.symbol_bytes = _within(self.symbol_bytes + len(symbol), MAX_SYMBOLS)
            self.symbols.append(bytes(symbol))
            _write(out, symbol)
            return SYMBOL
        _write(out, struct.pack(">i", flags & MEANT.get(kind, 0xFF)))
        if kind == PAIRS:
            self._pair(flags, out, depth)
        elif kind == CHAR:
            length = self._int()
            _write(out, struct.pack(">i", length))
            _write(out, self._take(_within(max(length, 0) if length == -1 else length, MAX_TEXT)))  # -1: NA
        elif kind in WIDTH:
            self._copy_bytes(self._length(out, WIDTH[kind]) * WIDTH[kind], out)
        elif kind in (STRINGS, LIST):
            for _ in range(self._length(out, 4)):
                self.copy(out, depth + 1, CHAR if kind == STRINGS else None)
        elif kind == ALTREP:  # class, state, attributes
            for _ in range(3):
                self.copy(out, depth + 1)
        elif kind != NIL:
            msg = f"it holds {OTHERS.get(kind, f'something of type {kind}')}; only vectors, matrices, lists and data frames are read"
            raise ValueError(msg)
        if flags & HAS_ATTRIBUTES and kind in (*WIDTH, STRINGS, LIST):
            self.copy(out, depth + 1, PAIRS)
        return kind

    def _pair(self, flags: int, out: bytearray | None, depth: int) -> None:
        if flags & HAS_ATTRIBUTES:
            msg = "it is damaged: attributes of attributes"
            raise ValueError(msg)
        if flags & HAS_TAG and self.copy(out, depth + 1) != SYMBOL:
            msg = "it is damaged: an attribute has no name"
            raise ValueError(msg)
        self.copy(out, depth + 1)
        self.copy(out, depth + 1)

    def _length(self, out: bytearray | None, width: int) -> int:
        """Copy the length of a vector; a long one is -1 and two halves."""
        length = self._int()
        if length == -1:
            length = (self._int() << 32) + (self._int() & 0xFFFFFFFF)
        _within(length, (self.stream.raw.most if out is None else MAX_HELD) // width)  # type: ignore[attr-defined]
        _write(out, struct.pack(">i", length) if out is not None else b"")
        return length

    def _copy_bytes(self, count: int, out: bytearray | None) -> None:
        if out is not None and len(out) + count > MAX_HELD:
            _within(len(out) + count, MAX_HELD)
        while count:
            part = self._take(min(count, PIECE))
            _write(out, part)
            count -= len(part)

    def _int(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def _take(self, count: int) -> bytes:
        part = self.stream.read(count)
        if len(part) < count:
            msg = "it is cut off"
            raise ValueError(msg)
        return part


def _write(out: bytearray | None, part: bytes | bytearray) -> None:
    if out is not None:
        _within(len(out) + len(part), MAX_HELD)  # a reference of four bytes may stand for a long symbol
        out += part


def _within(length: int, most: int) -> int:
    if not 0 <= length <= most:
        msg = f"it declares a value of {length:,} elements or bytes, at most {most:,} are read"
        raise ValueError(msg)
    return length
