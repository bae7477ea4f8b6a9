"""Models as data: nested dicts of scalars and arrays, in one canonical form, and their digest."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from omicstl._core.checks import check_key_name

MAX_ARRAYS = 64


def _leaf(value: Any, where: str) -> Any:
    """Return a leaf in its one form: a Python scalar, a little-endian C array, or an array of str as ``U``."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            msg = f"{where} must fit 64 bits, got {value}."
            raise ValueError(msg)
        return value
    if not isinstance(value, np.ndarray):
        msg = (
            f"{where} is of type {type(value).__name__}; a model holds dicts, None, bool, int, float, str, arrays of "
            "numbers and one-dimensional arrays of strings."
        )
        raise TypeError(msg)
    if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    if value.ndim == 1 and value.dtype.kind in "UTO" and all(isinstance(item, str) for item in value):
        return np.array(value.tolist(), dtype="<U")
    msg = f"{where} must hold numbers, or one dimension of strings, got dtype {value.dtype} of shape {value.shape}."
    raise TypeError(msg)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over ``(path, leaf)``; an empty dict is a leaf."""
    for name in tree:
        check_key_name(f"a key of the model{f' in {prefix!r}' if prefix else ''}", name)
        path = f"{prefix}.{name}" if prefix else name
        value = tree[name]
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path, {} if isinstance(value, Mapping) else _leaf(value, f"model[{path!r}]")


def flatten(tree: Any) -> dict[str, Any]:
    """Return a model as ``{path: leaf}``, sorted, every leaf in its one form; refuse what is no model."""
    if not isinstance(tree, Mapping):
        msg = f"a model must be a dict, got {type(tree).__name__}."
        raise TypeError(msg)
    flat = dict(sorted(_leaves(tree)))
    kind, version = flat.get("kind"), flat.get("version")
    if not isinstance(kind, str) or not isinstance(version, int) or isinstance(version, bool):
        msg = f"a model must have 'kind', a string, and 'version', an integer; got kind {kind!r}, version {version!r}."
        raise ValueError(msg)
    n_arrays = sum(isinstance(leaf, np.ndarray) for leaf in flat.values())
    if n_arrays > MAX_ARRAYS:
        msg = f"a model may have at most {MAX_ARRAYS} arrays, got {n_arrays}. Stack those of equal shape."
        raise ValueError(msg)
    return flat


def raw_bytes(array: np.ndarray) -> bytes | memoryview:
    """Return the bytes of a C-ordered array, without a copy where that is possible."""
    if array.dtype.kind == "U" or array.size == 0:
        return array.tobytes()
    return array.data.cast("B")


def _encoded(leaf: Any) -> tuple[str, bytes | memoryview]:
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "U":  # the width of the array must not matter
        parts = [item.encode("utf-8", "surrogatepass") for item in leaf.tolist()]
        return f"strings {leaf.size}", b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    if isinstance(leaf, np.ndarray):
        return f"array {leaf.dtype.str} {leaf.shape}", raw_bytes(leaf)
    if isinstance(leaf, float):
        return "float", struct.pack("<d", leaf)
    if isinstance(leaf, str):
        return "str", leaf.encode("utf-8", "surrogatepass")
    return type(leaf).__name__, repr(leaf).encode()


def leaf_digests(flat: Mapping[str, Any]) -> dict[str, str]:
    """Return a SHA-256 for every leaf: of its type, its shape and its content."""
    digests = {}
    for path, leaf in flat.items():
        label, content = _encoded(leaf)
        here = hashlib.sha256(f"{label}\0".encode())
        here.update(content)
        digests[path] = here.hexdigest()
    return digests


def combined(digests: Mapping[str, str]) -> str:
    """Return the digest of a model out of those of its leaves."""
    return hashlib.sha256("\n".join(f"{path} {digests[path]}" for path in sorted(digests)).encode()).hexdigest()


def digest(tree: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a model's content: the same in memory, in a model file, and in a file of an AnnData."""
    return combined(leaf_digests(flatten(tree)))


def n_bytes(tree: Mapping[str, Any]) -> int:
    """Return the bytes that the arrays of a model take."""
    return sum(leaf.nbytes for leaf in flatten(tree).values() if isinstance(leaf, np.ndarray))


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `flatten`."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *folders, name = path.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                msg = f"{path!r} lies within an array or a number"
                raise ValueError(msg)
        if name in place:
            msg = f"{path!r} is there twice"
            raise ValueError(msg)
        place[name] = leaf
    return tree
