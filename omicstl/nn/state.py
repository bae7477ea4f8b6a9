"""The state of a run as two leaves that a file can hold, and back, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from omicstl._core.log import warn

from .train import State


def pack(state: State) -> dict[str, Any]:
    """
    Write all arrays of a state into one.

    Parameters
    ----------
    state
        A state of `train`, on any device.

    Returns
    -------
    ``bytes`` (m,) uint8, and ``layout``, a line for each array with its dtype, shape and name.
    """
    named = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
    parts = [np.ascontiguousarray(leaf).reshape(-1).view(np.uint8) for _, leaf in named]
    return {"bytes": np.concatenate(parts), "layout": "\n".join(_line(path, leaf) for path, leaf in named)}


def unpack(like: State, packed: Mapping[str, Any]) -> State:
    """
    Undo `pack`.

    Parameters
    ----------
    like
        A state of the same program, such as that before its first step; only its structure, shapes and dtypes are read.
    packed
        What `pack` returned.

    Returns
    -------
    The state.

    Raises
    ------
    ValueError
        If it is a state of another program; the first array that differs is named.
    """
    named, structure = jax.tree_util.tree_flatten_with_path(like)
    expected, found = [_line(path, leaf) for path, leaf in named], str(packed["layout"]).split("\n")
    for i in range(max(len(expected), len(found))):
        one, other = (lines[i] if i < len(lines) else "nothing" for lines in (found, expected))
        if one != other:
            msg = f"The saved state is of another network or training: it holds {one} where {other} is needed."
            raise ValueError(msg)
    content, low, leaves = packed["bytes"], 0, []
    n_bytes = sum(leaf.size * leaf.dtype.itemsize for _, leaf in named)
    if content.dtype != np.uint8 or content.shape != (n_bytes,):
        msg = f"The saved state holds {content.dtype} of shape {content.shape} where {n_bytes} bytes are needed."
        raise ValueError(msg)
    for _, leaf in named:
        high = low + leaf.size * leaf.dtype.itemsize
        leaves.append(jnp.asarray(content[low:high].copy().view(leaf.dtype).reshape(leaf.shape)))
        low = high
    return jax.tree_util.tree_unflatten(structure, leaves)


def resumed(like: State, packed: Mapping[str, Any] | None) -> State:
    """The packed state, or `like` if there is none; one of another program is warned about and left aside."""
    if packed is None:
        return like
    try:
        return unpack(like, packed)
    except (KeyError, ValueError) as error:
        warn(f"{error} It is left aside, and training begins at the first step.")
        return like


def _line(path: tuple[Any, ...], leaf: Any) -> str:
    return f"{leaf.dtype.name} {tuple(leaf.shape)} {jax.tree_util.keystr(path)}"
