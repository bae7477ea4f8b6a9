"""A small writer of R's binary serialisation (R Internals, section 1.8), for honest and for hostile files."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

NULL = struct.pack(">i", 254)
ATTRIBUTES, OBJECT, TAG = 0x200, 0x100, 0x400


class Node(NamedTuple):
    """A value: its type, its bytes without attributes (or its members), and its attributes."""

    kind: int
    body: Any
    attributes: dict[str, Any] = {}


def real(values: Any, **attributes: Any) -> Node:
    values = np.asarray(values, dtype=">f8").ravel(order="F")
    return Node(14, struct.pack(">i", values.size) + values.tobytes(), attributes)


def integer(values: Any, kind: int = 13, **attributes: Any) -> Node:
    values = np.asarray(values, dtype=">i4").ravel(order="F")
    return Node(kind, struct.pack(">i", values.size) + values.tobytes(), attributes)


def text(value: str | None, flag: int = 1 << 3, encoding: str = "utf-8") -> bytes:
    if value is None:
        return struct.pack(">ii", 9, -1)
    raw = value.encode(encoding)
    return struct.pack(">ii", 9 | flag << 12, len(raw)) + raw


def strings(values: Any, **attributes: Any) -> Node:
    return Node(16, struct.pack(">i", len(values)) + b"".join(text(value) for value in values), attributes)


def listing(items: Any, names: Any = None, **attributes: Any) -> Node:
    return Node(19, list(items), attributes if names is None else {"names": strings(list(names))} | attributes)


def matrix(values: Any, rows: Any = None, columns: Any = None, make: Any = real) -> Node:
    values = np.asarray(values)
    names = [NULL if axis is None else strings(list(axis)) for axis in (rows, columns)]
    return make(values, dim=integer(values.shape), dimnames=listing(names))


def factor(values: list[str]) -> Node:
    levels = sorted(set(values))
    codes = [levels.index(value) + 1 for value in values]
    return integer(codes, levels=strings(levels), **{"class": strings(["factor"])})


def frame(columns: dict[str, Node], n: int, row_names: Any = None) -> Node:
    rows = integer([-(2**31), -n]) if row_names is None else strings(row_names)
    return listing(columns.values(), columns, **{"row.names": rows, "class": strings(["data.frame"])})


def altrep(name: str, state: bytes) -> bytes:
    """A vector in compact form; its class is named by symbols, which later values refer to by number in R."""
    info = b"".join(struct.pack(">i", 2) + struct.pack(">i", 1) + text(s) for s in (name, "base"))
    return struct.pack(">i", 238) + info + struct.pack(">i", 2) + serialise(integer([14]), {}) + NULL + state + NULL


def serialise(node: Any, symbols: dict[str, int]) -> bytes:
    if isinstance(node, bytes):
        return node
    flags = node.kind | (ATTRIBUTES if node.attributes else 0) | (OBJECT if "class" in node.attributes else 0)
    body = node.body
    if isinstance(body, list):
        body = struct.pack(">i", len(body)) + b"".join(serialise(item, symbols) for item in body)
    return struct.pack(">i", flags) + body + (_pairs(node.attributes, symbols) if node.attributes else b"")


def _pairs(attributes: dict[str, Any], symbols: dict[str, int]) -> bytes:
    out = b""
    for name, value in attributes.items():
        if name in symbols:
            tag = struct.pack(">i", 255 | symbols[name] << 8)
        else:
            symbols[name] = len(symbols) + 1
            tag = struct.pack(">i", 1) + text(name)
        out += struct.pack(">i", 2 | TAG) + tag + serialise(value, symbols)
    return out + NULL


def rds(node: Any, version: int = 3) -> bytes:
    """The bytes of an ``.rds`` file, not compressed."""
    encoding = struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
    return b"X\n" + struct.pack(">iii", version, 0x40202, 0x30500) + encoding + serialise(node, {})
