"""One file for a model, checked in full before any of it is used. No pickles."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .files import What, replacing
from .tree import MAX_ARRAYS, combined, digest, flatten, leaf_digests, n_bytes, nest

__all__ = ["FORMAT", "FORMAT_VERSION", "digest", "n_bytes", "read_model", "write_model"]

FORMAT = "omicstl-model"
MODEL = What("path", "the model")
FORMAT_VERSION = 1
_MANIFEST = "manifest.json"
_MANIFEST_BYTES = 8 * 2**20
_HEADER_BYTES = 4096  # more than the header of a .npy of simple dtype takes
_SEAL_BYTES = 64
_PATH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_DTYPE = re.compile(r"[<|]([biu][1248]|f[248]|b1|U[0-9]+)")
_BROKEN = (
    AttributeError,
    OSError,
    UserWarning,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    IndexError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class _Corrupt(ValueError):
    """A file whose content is not what it should be; the message says what."""


def _to_json(value: Any) -> Any:
    return {"float": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and value:
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[value["float"]]
    if isinstance(value, list):
        msg = "a value of its manifest is a list"
        raise _Corrupt(msg)
    return value


def write_model(path: str | os.PathLike[str], tree: Mapping[str, Any], what: What = MODEL) -> str:
    """Write a model to one ``.npz``, completely or not at all, and return its digest.

    The same model gives the same bytes. Errors call it as `what` says.
    """
    flat = flatten(tree)
    arrays = {name: leaf for name, leaf in flat.items() if isinstance(leaf, np.ndarray)}
    digests = leaf_digests(flat)
    total = combined(digests)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": flat["kind"],
        "digest": total,
        "scalars": {name: _to_json(leaf) for name, leaf in flat.items() if name not in arrays},
        "arrays": [
            {
                "name": name,
                "shape": list(array.shape),
                "dtype": array.dtype.str,
                "sha256": digests[name],
            }
            for name, array in arrays.items()
        ],
    }
    with replacing(path, what) as new, open(new, "r+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_member(_MANIFEST), json.dumps(manifest, indent=1, allow_nan=False))
            for name, array in arrays.items():
                big = array.nbytes > 2**31 - 2 * _HEADER_BYTES
                with archive.open(_member(f"{name}.npy"), "w", force_zip64=big) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            archive.comment = bytes(_SEAL_BYTES)
        _seal(file)
    return total


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o644 << 16
    return member


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a model file, checked in full: nothing of a damaged, foreign or newer file is ever used (`ValueError`)."""
    source = Path(path)
    if source.is_dir():
        msg = f"{str(source)!r} is a folder, not a model file. If it is an AnnData store, read it and pass the AnnData."
        raise ValueError(msg)
    if not source.exists():
        msg = f"There is no model file {str(source)!r}."
        raise FileNotFoundError(msg)
    with open(source, "rb") as file:
        try:
            _check_magic(file.read(8))
            with zipfile.ZipFile(file) as archive:
                manifest = _manifest(archive, source.stat().st_size)
                _check_seal(file)
                return _read(archive, manifest)
        except _Corrupt as error:
            reason = str(error)
        except _BROKEN as error:
            reason = f"it is damaged or cut off ({type(error).__name__}: {error})"
    way_out = "" if "pass the AnnData" in reason else " Get or write the file again."
    msg = f"{str(source)!r} cannot be used as a model: {reason}.{way_out}"
    raise ValueError(msg)


def _check_magic(head: bytes) -> None:
    if head.startswith(b"\x89HDF"):
        msg = "it is an HDF5 file; read it with anndata.read_h5ad and pass the AnnData"
        raise _Corrupt(msg)
    if not head.startswith(b"PK\x03\x04"):
        msg = "it is no omicstl model file (not even a zip archive)" if head else "it is empty"
        raise _Corrupt(msg)


def _file_digest(file: BinaryIO) -> bytes:
    """Return the SHA-256, as text, of a file but for its seal: the end of the zip archive's comment."""
    left = file.seek(0, os.SEEK_END) - _SEAL_BYTES
    file.seek(0)
    total = hashlib.sha256()
    while left > 0:
        part = file.read(min(left, 2**20))
        if not part:
            break
        total.update(part)
        left -= len(part)
    return total.hexdigest().encode()


def _seal(file: BinaryIO) -> None:
    seal = _file_digest(file)
    file.seek(-_SEAL_BYTES, os.SEEK_END)
    file.write(seal)


def _check_seal(file: BinaryIO) -> None:
    seal = _file_digest(file)
    if file.read(_SEAL_BYTES) != seal:
        msg = "its checksum does not match; it is damaged, or was changed after it was written"
        raise _Corrupt(msg)


def _manifest(archive: zipfile.ZipFile, size: int) -> dict[str, Any]:
    members = archive.infolist()
    names = [member.filename for member in members]
    if not names or names[0] != _MANIFEST:
        msg = f"it is a zip archive but no omicstl model file ({_MANIFEST} is not its first member)"
        raise _Corrupt(msg)
    # Stored, not compressed: what is declared cannot be larger than the file.
    if any(
        member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size for member in members
    ):
        msg = "it has compressed members, which model files do not have"
        raise _Corrupt(msg)
    if members[0].file_size > _MANIFEST_BYTES or sum(member.file_size for member in members) > size:
        msg = "the sizes it declares are not those of the file"
        raise _Corrupt(msg)
    manifest = json.loads(archive.read(_MANIFEST))
    _check_manifest(manifest)
    return manifest


def _read(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> dict[str, Any]:
    members = archive.infolist()
    names = [member.filename for member in members]
    declared = {entry["name"]: entry for entry in manifest["arrays"]}
    if names[1:] != [f"{name}.npy" for name in declared] or len(declared) != len(manifest["arrays"]):
        msg = "its members are not those that its manifest lists"
        raise _Corrupt(msg)
    flat: dict[str, Any] = {name: _from_json(value) for name, value in manifest["scalars"].items()}
    for member, (name, entry) in zip(members[1:], declared.items(), strict=True):
        flat[name] = _read_array(archive, member, entry)
    if len(flat) != len(declared) + len(manifest["scalars"]) or not all(_PATH.fullmatch(name) for name in flat):
        msg = "it has names that no model has"
        raise _Corrupt(msg)
    digests = leaf_digests(flat)
    damaged = [name for name, entry in declared.items() if digests[name] != entry["sha256"]]
    if damaged:
        msg = f"array {damaged[0]!r} does not match its checksum"
        raise _Corrupt(msg)
    if combined(digests) != manifest["digest"] or flat.get("kind") != manifest["kind"]:
        msg = "its content does not match its checksum"
        raise _Corrupt(msg)
    tree = nest(flat)
    flatten(tree)
    return tree


def _check_manifest(manifest: Any) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        msg = "its manifest is not that of an omicstl model"
        raise _Corrupt(msg)
    version = manifest.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        msg = (
            f"it has format version {version}, this omicstl reads up to {FORMAT_VERSION}; upgrade with "
            "pip install --upgrade omicstl"
        )
        raise _Corrupt(msg)
    arrays, scalars = manifest.get("arrays"), manifest.get("scalars")
    if version != FORMAT_VERSION or not isinstance(arrays, list) or not isinstance(scalars, dict):
        msg = "its manifest is not complete"
        raise _Corrupt(msg)
    if len(arrays) > MAX_ARRAYS:
        msg = f"it declares {len(arrays)} arrays, at most {MAX_ARRAYS} are allowed"
        raise _Corrupt(msg)


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, entry: dict[str, Any]) -> np.ndarray:
    name, shape, dtype = entry["name"], entry["shape"], entry["dtype"]
    if not _DTYPE.fullmatch(dtype) or not all(type(n) is int and n >= 0 for n in shape):
        msg = f"array {name!r} is declared with dtype {dtype!r} and shape {shape!r}, which no model has"
        raise _Corrupt(msg)
    declared = math.prod(shape) * np.dtype(dtype).itemsize
    if not declared < member.file_size <= declared + _HEADER_BYTES:
        msg = f"array {name!r} has {member.file_size} bytes where {declared} are declared"
        raise _Corrupt(msg)
    stream = io.BytesIO(archive.read(member))
    if np.lib.format.read_magic(stream) != (1, 0):
        msg = f"array {name!r} is stored in an unknown version of the .npy format"
        raise _Corrupt(msg)
    stream.seek(0)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    if array.shape != tuple(shape) or array.dtype.str != dtype or stream.read(1):
        msg = (
            f"array {name!r} has dtype {array.dtype.str} and shape {array.shape}, its manifest says {dtype} and {shape}"
        )
        raise _Corrupt(msg)
    return np.ascontiguousarray(array)
