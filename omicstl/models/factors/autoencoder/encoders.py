"""Trained encoders as plain arrays: batch normalisation folded into the weights, members stacked on the first axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from omicstl._core.memory import check_compiler
from omicstl.nn.modules import EPSILON

LARGEST = 60.0  # log variance, of either sign, whose exponential float32 still holds


class Encoders(NamedTuple):
    """Encoders of one shape: hidden layers ``relu(x @ kernel + bias)``, then a linear head.

    The head has twice the number of latent units: their means first, then their log variances.
    """

    kernels: tuple[Float[np.ndarray, "members a b"], ...]
    biases: tuple[Float[np.ndarray, "members b"], ...]
    head: Float[np.ndarray, "members h twice"]
    head_bias: Float[np.ndarray, "members twice"]

    @property
    def n_members(self) -> int:
        """Number of encoders."""
        return len(self.head)

    @property
    def n_latent(self) -> int:
        """Latent units of each."""
        return self.head.shape[2] // 2

    def to_dict(self) -> dict[str, np.ndarray]:
        """Stored form: ``kernel_0``, ``bias_0``, ..., ``head``, ``head_bias``."""
        layers = {f"kernel_{i}": kernel for i, kernel in enumerate(self.kernels)}
        layers |= {f"bias_{i}": bias for i, bias in enumerate(self.biases)}
        return layers | {"head": self.head, "head_bias": self.head_bias}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Encoders:
        """Rebuild from the stored form; sizes that do not fit each other are refused."""
        depth = sum(name.startswith("kernel_") for name in tree)
        found = cls(
            tuple(np.asarray(tree[f"kernel_{i}"], np.float32) for i in range(depth)),
            tuple(np.asarray(tree[f"bias_{i}"], np.float32) for i in range(depth)),
            np.asarray(tree["head"], np.float32),
            np.asarray(tree["head_bias"], np.float32),
        )
        layers = [*zip(found.kernels, found.biases, strict=True), (found.head, found.head_bias)]
        widths = [kernel.shape[1:] for kernel, _ in layers]
        fits = all(b.shape == (found.n_members, k.shape[2]) and len(k) == found.n_members for k, b in layers)
        if not fits or any(a[1] != b[0] for a, b in zip(widths[:-1], widths[1:], strict=True)):
            msg = f"The encoders are damaged: layers of the shapes {widths} do not fit each other."
            raise ValueError(msg)
        return found


def fold(params: Any, stats: Any) -> dict[str, np.ndarray]:
    """One trained encoder in the stored form, without the axis of members.

    ``scale (x W + b - mean) / sqrt(var + eps) + shift`` of a layer and its running statistics is ``x W' + b'``.
    """
    encoder, running = params["encoder"], stats["encoder"]["hidden"].get("norms", {}) if len(stats) else {}
    hidden = encoder.get("hidden", {})
    folded: dict[str, np.ndarray] = {}
    for i in range(len(hidden.get("layers", {}))):
        kernel, bias = (_plain(hidden["layers"][i][name]) for name in ("kernel", "bias"))
        scale, shift = (_plain(hidden["norms"][i][name]) for name in ("scale", "bias"))
        mean, var = (_plain(running[i][name]) for name in ("mean", "var"))
        factor = scale / np.sqrt(var + EPSILON)
        folded |= {f"kernel_{i}": kernel * factor, f"bias_{i}": (bias - mean) * factor + shift}
    heads = [encoder["mean"], encoder["logvar"]]
    folded["head"] = np.concatenate([_plain(head["kernel"]) for head in heads], axis=1)
    folded["head_bias"] = np.concatenate([_plain(head["bias"]) for head in heads])
    return {name: np.asarray(value, np.float32) for name, value in folded.items()}


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(leaf[...], np.float64)


def stack(members: Sequence[Mapping[str, np.ndarray]]) -> Encoders:
    """Encoders of one shape from folded ones, in their order."""
    return Encoders.from_dict({name: np.stack([member[name] for member in members]) for name in members[0]})


@jax.jit
def _forward(layers: Any, x: Float[Array, "n d"]) -> tuple[Float[Array, "m n latent"], Float[Array, "m n latent"]]:
    def member(layers: Any) -> tuple[jax.Array, jax.Array]:
        *hidden, (head, head_bias) = layers
        h = x
        for kernel, bias in hidden:
            h = jax.nn.relu(h @ kernel + bias[None])
        mean, logvar = jnp.split(h @ head + head_bias[None], 2, axis=1)
        return mean, logvar

    return jax.lax.map(member, layers)


def encode(encoders: Encoders, x: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
    """Means and log variances of all members, each (members, n, latent).

    Rows are filled up to a few sizes, so that blocks of any length share compiled code.
    """
    check_compiler(x.nbytes)
    n = len(x)
    filled = _bucket(n)
    rows = np.zeros((filled, x.shape[1]), np.float32)
    rows[:n] = x
    layers = [*zip(encoders.kernels, encoders.biases, strict=True), (encoders.head, encoders.head_bias)]
    mean, logvar = _forward(layers, rows)
    return np.asarray(mean)[:, :n], np.asarray(logvar)[:, :n]


def _bucket(n: int) -> int:
    """The next number of rows that has compiled code: powers of two up to 256, then multiples of it."""
    return max(1, 1 << (n - 1).bit_length()) if n <= 256 else -(-n // 256) * 256
