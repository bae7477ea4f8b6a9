"""The rows that a variational autoencoder is trained on, and what standardises what its encoder sees of them (numpy)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from omicstl.kernels import stats
from omicstl.models.factors.autoencoder.likelihoods import COUNTS, GAUSSIAN

BLOCK_BYTES = 32 * 2**20
HELD_BYTES = 512 * 2**20
LEAST, MOST = 0.1, 100.0  # inverse dispersions to start from


class Rows(Protocol):
    """Rows of numbers, in dense blocks or by their positions, as often as asked."""

    n_rows: int
    n_cols: int

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Dense blocks of all rows in order."""
        ...

    def take(self, index: np.ndarray) -> np.ndarray:
        """Dense rows at these positions."""
        ...


def _rows_of_block(n_cols: int) -> int:
    return max(1, BLOCK_BYTES // (4 * n_cols))


class InMemory:
    """Rows of an array, of float32."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self.n_rows, self.n_cols = x.shape

    @classmethod
    def load(cls, rows: Rows) -> InMemory:
        """Read all rows once."""
        x = np.empty((rows.n_rows, rows.n_cols), np.float32)
        low = 0
        for block in rows.blocks():
            x[low : low + len(block)] = block
            low += len(block)
        return cls(x)

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Windows on the array."""
        step = size or _rows_of_block(self.n_cols)
        for low in range(0, self.n_rows, step):
            yield self.x[low : low + step]

    def take(self, index: np.ndarray) -> np.ndarray:
        """A copy of these rows."""
        return self.x[index]


class Streamed:
    """Rows of another source just as `InMemory` gives them: float32, in blocks that no setting changes.

    What is made of them has the same bits wherever they are, which a network that is trained on it needs.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.n_rows, self.n_cols = rows.n_rows, rows.n_cols

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Blocks of all rows in order."""
        yield from stats.strips(
            (block.astype(np.float32, copy=False) for block in self._rows.blocks()), size or _rows_of_block(self.n_cols)
        )

    def take(self, index: np.ndarray) -> np.ndarray:
        """Rows at these positions."""
        return self._rows.take(index).astype(np.float32, copy=False)


class Subset:
    """Some rows of another source, for reading by position."""

    def __init__(self, rows: Rows, index: np.ndarray) -> None:
        self._rows, self._index = rows, index
        self.n_rows, self.n_cols = index.size, rows.n_cols

    def take(self, index: np.ndarray) -> np.ndarray:
        """Rows at these positions among the chosen ones."""
        return self._rows.take(self._index[index])


class Standardised:
    """Rows of another source, each less its group's centre and over its scale; a scale of 0 gives 0."""

    def __init__(self, rows: Rows, centre: np.ndarray, scale: np.ndarray, codes: np.ndarray) -> None:
        self._rows, self._codes = rows, codes
        self._centre = centre
        self._factor = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        self.n_rows, self.n_cols = rows.n_rows, rows.n_cols

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Blocks of all rows in order."""
        low = 0
        for block in self._rows.blocks(size):
            yield self._of(block, self._codes[low : low + len(block)])
            low += len(block)

    def take(self, index: np.ndarray) -> np.ndarray:
        """Rows at these positions."""
        return self._of(self._rows.take(index), self._codes[index])

    def _of(self, block: np.ndarray, codes: np.ndarray) -> np.ndarray:
        if len(self._centre) == 1:
            return ((block - self._centre) * self._factor).astype(np.float32)
        return ((block - self._centre[codes]) * self._factor[codes]).astype(np.float32)


class Data(NamedTuple):
    """Rows to train on: z-scores for Gaussian likelihoods, else the data themselves; `centre`, `scale` of the encoder's input."""

    rows: Rows
    likelihood: str
    centre: np.ndarray
    scale: np.ndarray
    covariates: np.ndarray  # (n, c) float32
    totals: np.ndarray | None = None  # (n,) of counts
    target_sum: float | None = None

    def inputs(self) -> Iterator[np.ndarray]:
        """What the encoder sees of all rows, without covariates: float32 blocks."""
        low = 0
        for block in self.rows.blocks():
            yield self._input(block, slice(low, low + len(block)))
            low += len(block)

    def _input(self, block: np.ndarray, here: slice) -> np.ndarray:
        if self.likelihood in GAUSSIAN:
            return block.astype(np.float32, copy=False)
        if self.totals is not None and self.target_sum is not None:
            block = _log_normalised(block, self.totals[here], self.target_sum)
        return ((block - self.centre) / self.scale).astype(np.float32)


def _log_normalised(block: np.ndarray, totals: np.ndarray, target_sum: float) -> np.ndarray:
    return np.log1p(block * (target_sum / totals)[:, None])


def moments(blocks: Iterator[np.ndarray], p: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n - 1) of columns."""
    summary = stats.init(p)
    for block in blocks:
        summary = stats.update(summary, np.ascontiguousarray(block))
    found = stats.finish(summary)
    return found.mean, np.sqrt(found.variance)


def gaussian(
    rows: Rows, likelihood: str, mean: np.ndarray, scale: np.ndarray, covariates: np.ndarray, codes: np.ndarray | None
) -> Data:
    """Standardise columns over all rows, or within each of the groups that `codes` name.

    Within groups, the scale that is kept for other data is the pooled one.
    """
    if codes is None:
        each = np.zeros(rows.n_rows, np.int64)
        return Data(_standardised(rows, mean[None], scale[None], each), likelihood, mean, scale, covariates)
    sizes = np.bincount(codes)
    summaries = [stats.init(rows.n_cols) for _ in sizes]
    low = 0
    for block in rows.blocks():
        here = codes[low : low + len(block)]
        for code in np.unique(here):
            summaries[code] = stats.update(summaries[code], np.ascontiguousarray(block[here == code]))
        low += len(block)
    found = [stats.finish(summary) for summary in summaries]
    centres, variances = np.stack([f.mean for f in found]), np.stack([f.variance for f in found])
    pooled = np.sqrt((sizes - 1) @ variances / (rows.n_rows - sizes.size))
    if not pooled.any():
        msg = "All variables have one value within every batch, so nothing is left to learn. Leave out `batch_key`."
        raise ValueError(msg)
    pooled = np.where(pooled > 0, pooled, 1.0)  # constant within every group: always zero
    return Data(_standardised(rows, centres, np.sqrt(variances), codes), likelihood, mean, pooled, covariates)


def _standardised(rows: Rows, centre: np.ndarray, scale: np.ndarray, codes: np.ndarray) -> Rows:
    wrapped = Standardised(rows, centre, scale, codes)
    if not isinstance(rows, InMemory):
        return wrapped
    low = 0
    for block in wrapped.blocks():  # in place: the array is ours
        rows.x[low : low + len(block)] = block
        low += len(block)
    return rows


def counts(rows: Rows, likelihood: str, totals: np.ndarray, covariates: np.ndarray) -> Data:
    """Counts as they are; the encoder sees z-scores of ``log1p(x / total * target_sum)``, the target the median total."""
    target = float(np.median(totals))

    def logs() -> Iterator[np.ndarray]:
        low = 0
        for block in rows.blocks():
            yield _log_normalised(block, totals[low : low + len(block)], target)
            low += len(block)

    mean, scale = moments(logs(), rows.n_cols)
    return Data(rows, likelihood, mean, scale, covariates, totals, target)


def totals_of(rows: Rows) -> np.ndarray:
    """Sum of each row."""
    return np.concatenate([block.sum(axis=1, dtype=np.float64) for block in rows.blocks()])


def first_values(data: Data) -> dict[str, np.ndarray]:
    """Where the parameters of each variable start, so that training need not find the average of the data.

    Offsets of the decoder: the variable's share of all counts, or its mean. Inverse dispersions: from the variance of counts about
    their share of each total.
    """
    if data.likelihood in GAUSSIAN:
        return {}
    if data.likelihood not in COUNTS:
        mean = np.clip(data.centre, 1e-4, 1 - 1e-4)
        return {"head_0": np.log(mean / (1 - mean))}
    totals = np.zeros(0) if data.totals is None else data.totals
    whole = np.sum([block.sum(axis=0, dtype=np.float64) for block in data.rows.blocks()], axis=0)
    share = whole / whole.sum()
    values = {"head_0": np.log(share) - np.log(share).mean()}
    if data.likelihood == "poisson":
        return values
    excess, low = np.zeros(data.rows.n_cols), 0
    for block in data.rows.blocks():
        mean = np.outer(totals[low : low + len(block)], share)
        excess += np.sum((block - mean) ** 2 - mean, axis=0)
        low += len(block)
    square = np.sum(totals**2) * share**2
    values["log_inverse_dispersion"] = np.log(np.maximum(square / np.maximum(excess, square / MOST), LEAST))
    if data.likelihood == "zinb":  # few zeros are in excess, to begin with
        values |= {"head_1": np.array(-2.0), "dropout_logit": np.array(-2.0)}
    return values


def held_out(n: int, p: int, share: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions of rows to train on and of rows held out, each rising.

    At least one is held out if `share` is above 0, and no more than memory is meant for: these are not read again.
    """
    most = min(n - 2, max(1, HELD_BYTES // (4 * p)))
    n_held = min(max(1, round(share * n)), most) if share else 0
    order = generator.permutation(n)
    return np.sort(order[n_held:]), np.sort(order[:n_held])
