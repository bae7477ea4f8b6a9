"""What can be seen of arguments and answers: digests to find what changed, and leaves to compare numbers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from tests.support import snapshots

_ROOMS = ("obs", "var", "obsm", "varm", "layers", "uns")
_DRIFTS = ("digest", "path", "seconds", "n_bytes")  # say where and how, not what was found


def _seen(path: str, value: Any, out: dict[str, Any]) -> None:
    try:
        snapshots._value(path, value, out)
    except Exception as error:  # noqa: BLE001 - an object that cannot be looked at is the same object or it is not
        out[path] = f"{type(error).__name__} {id(value)}"


def state(value: Any, path: str = "") -> dict[str, Any]:
    """Digests of all that a user can see of an argument."""
    out: dict[str, Any] = {}
    if isinstance(value, AnnData):
        out |= {f"{path}.shape": value.shape, f"{path}.view": value.is_view, f"{path}.backed": value.isbacked}
        for slot in ("X", "obs", "var", *snapshots.SLOTS, "uns"):
            try:
                item = getattr(value, slot)
                entries = dict(item.items()) if slot in (*snapshots.SLOTS, "uns") else item
            except Exception as error:  # noqa: BLE001
                out[f"{path}.{slot}"] = type(error).__name__
                continue
            if isinstance(entries, dict):
                for name, one in entries.items():
                    _seen(f"{path}.{slot}/{name}", one, out)
            else:
                _seen(f"{path}.{slot}", entries, out)
    elif isinstance(
        value, (str, bytes, int, float, np.ndarray, pd.DataFrame, pd.Series, dict, list, tuple, set)
    ) or sp.issparse(value):
        _seen(path, value, out)
    elif hasattr(value, "to_dict"):
        _seen(path, value.to_dict(), out)
    return out


def folder() -> dict[str, str]:
    """What lies in the working folder."""
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in Path().rglob("*")
        if p.suffix != ".h5ad"
    }


def leaves(value: Any, path: str = "", depth: int = 0) -> dict[str, Any]:
    """Arrays, numbers and texts of an answer, by path."""
    if depth > 12:
        return {}
    if isinstance(value, AnnData):
        return of_adata(value, None, path)
    if isinstance(value, pd.DataFrame):
        # by position: the names of columns need not be unique
        return {f"{path}/{i} {name}": value.iloc[:, i].to_numpy() for i, name in enumerate(value.columns)}
    if isinstance(value, (pd.Series, pd.Index)):
        return {path: value.to_numpy()}
    if hasattr(value, "to_dict") and not isinstance(value, type):
        return leaves(value.to_dict(), path, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    elif hasattr(value, "get_figure"):
        return drawn(value, path)
    elif sp.issparse(value):
        return {path: value.toarray()}
    elif hasattr(value, "compute"):
        return leaves(value.compute(), path, depth + 1)
    else:
        return {path: value}
    out: dict[str, Any] = {}
    for name, item in items:
        out |= leaves(item, f"{path}/{name}", depth + 1)
    return out


def drawn(axes: Any, path: str) -> dict[str, Any]:
    """Texts and numbers of a figure, which is laid out as for a page and closed."""
    from matplotlib.text import Text

    figure = axes.get_figure(root=True)
    figure.draw_without_rendering()
    texts = sorted(text.get_text() for text in figure.findobj(Text) if text.get_text().strip())
    out = {f"{path}/texts": np.array(texts, dtype=str)}
    for i, one in enumerate((axes, *axes.child_axes)):
        out |= {f"{path}/{i}/line {k}": np.asarray(line.get_xydata(), float) for k, line in enumerate(one.lines)}
        out |= {
            f"{path}/{i}/points {k}": np.asarray(c.get_offsets().data, float) for k, c in enumerate(one.collections)
        }
    return out


def of_adata(adata: AnnData, keys: Iterable[str] | None, path: str = "") -> dict[str, Any]:
    """Leaves of what is kept under some keys; all of it where there are none."""
    out: dict[str, Any] = {}
    for room in _ROOMS:
        slot = getattr(adata, room)
        for name in list(slot):
            if keys is None or under(str(name), keys):
                out |= leaves(slot[name], f"{path}{room}/{name}")
    if keys is None:
        out |= leaves(adata.X, f"{path}X") if adata.X is not None else {}
        out |= {f"{path}{axis}_names": getattr(adata, f"{axis}_names").to_numpy() for axis in ("obs", "var")}
    return out


def under(name: str, keys: Iterable[str]) -> bool:
    """Whether a name of a slot is one of the keys or begins with one of them."""
    return any(name == key or name.startswith((f"{key}_", f"{key}/")) for key in keys)


def _numbers(value: Any) -> np.ndarray | None:
    try:
        x = np.asarray(value)
    except Exception:  # noqa: BLE001 - no numbers, then
        return None
    return x if x.dtype.kind in "fiubc" and x.size else None


def silent_nan(found: Mapping[str, Any], plain: Mapping[str, Any]) -> list[str]:
    """Paths that are not finite where those of the plain call are."""
    bad = []
    for path, value in found.items():
        x, y = _numbers(value), _numbers(plain.get(path))
        if x is None or y is None or x.dtype.kind not in "fc" or not (~np.isfinite(x)).any():
            continue
        if (~np.isfinite(x) & np.isfinite(y)).any() if x.shape == y.shape else np.isfinite(y).all():
            bad.append(path)
    return bad


def differences(found: Mapping[str, Any], plain: Mapping[str, Any], tolerance: float = 1e-5) -> list[str]:
    """Paths whose values are not those of the plain call, to a part of the largest."""
    bad = []
    for path in sorted({*found, *plain}):
        if any(part in path.rsplit("/", 1)[-1] for part in _DRIFTS):
            continue
        if path not in found or path not in plain:
            bad.append(path)
            continue
        x, y = _numbers(found[path]), _numbers(plain[path])
        if x is None or y is None:
            if not _same_text(found[path], plain[path]):
                bad.append(path)
        elif x.shape != y.shape or not np.allclose(
            x.astype(complex), y.astype(complex), rtol=tolerance, atol=tolerance * _largest(y), equal_nan=True
        ):
            bad.append(path)
    return bad


def _largest(x: np.ndarray) -> float:
    finite = np.abs(x[np.isfinite(x)]) if x.dtype.kind != "b" else x
    return float(finite.max()) if finite.size else 0.0


def _same_text(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and list(map(str, a.ravel())) == list(map(str, b.ravel()))
    return type(a) is type(b) and str(a) == str(b)
