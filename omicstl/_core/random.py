"""Random streams that are derived from one seed by name, never by a chain of splits."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np

from .types import SeedLike

_ENTROPY_BITS = 63  # what fits a signed 64-bit integer, so that `uns` can hold it


class Streams:
    """Independent random streams of one seed: a name and ids always give the same stream, whatever was drawn before."""

    __slots__ = ("_entropy",)

    def __init__(self, entropy: int) -> None:
        self._entropy = entropy

    @property
    def entropy(self) -> int:
        """The seed; ``streams(entropy)`` gives the same streams again."""
        return self._entropy

    def _sequence(self, name: str, ids: tuple[int, ...]) -> np.random.SeedSequence:
        # Every part has a fixed number of words, so that no two (entropy, name, ids) can read the same.
        digest = hashlib.sha256(name.encode()).digest()[:16]
        words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
        for number in ids:
            if number < 0 or number >= 2**64:
                msg = f"ids of a stream must be >= 0 and < 2**64, got {number}."
                raise ValueError(msg)
            words += [int(number) & 0xFFFFFFFF, int(number) >> 32]
        return np.random.SeedSequence(self._entropy, spawn_key=(*words, len(ids)))

    def generator(self, name: str, *ids: int) -> np.random.Generator:
        """Return a fresh NumPy generator for the stream `name`, `ids`."""
        return np.random.Generator(np.random.PCG64(self._sequence(name, ids)))

    def key(self, name: str, *ids: int) -> np.ndarray:
        """Return two uint32 for `jax.random.wrap_key_data` for the stream `name`, `ids`."""
        return self._sequence(name, ids).generate_state(2, np.uint32)

    def __repr__(self) -> str:
        return f"Streams(entropy={self._entropy})"


def streams(rng: SeedLike) -> Streams:
    """Derive named streams from a seed, a seed sequence or a generator (one number is drawn from it); `None` is fresh."""
    if rng is None:
        return Streams(secrets.randbits(_ENTROPY_BITS))
    if isinstance(rng, np.random.Generator):
        return Streams(int(rng.integers(2**_ENTROPY_BITS - 1, endpoint=True)))
    if isinstance(rng, np.random.SeedSequence):
        return Streams(int(rng.generate_state(1, np.uint64)[0]) >> 1)
    if isinstance(rng, (bool, np.bool_)) or not isinstance(rng, (int, np.integer)):
        msg = (
            f"`rng` must be an integer, a numpy Generator, a SeedSequence or None, "
            f"got {rng!r} of type {type(rng).__name__}. Use an integer, e.g. rng=0."
        )
        raise TypeError(msg)
    if rng < 0 or rng >= 2**_ENTROPY_BITS:
        msg = f"`rng` must be >= 0 and < 2**{_ENTROPY_BITS}, got {rng}. Use a small integer, e.g. rng=0."
        raise ValueError(msg)
    return Streams(int(rng))
