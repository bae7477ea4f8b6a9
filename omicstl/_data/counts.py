"""Counts for a model that was trained on log-normalised counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.log import TransferWarning, warn
from omicstl._data import adata as reader

if TYPE_CHECKING:
    from omicstl._data.blocks import RowSource


def target_sum(model: Any) -> float | None:
    """Total that the model's counts were brought to; `None` for models of log expression."""
    found = getattr(model, "target_sum", None)
    return None if found is None else float(found)


def normalise(rows: reader.Expression, model: Any, present: np.ndarray, target_sum: float) -> reader.Expression:
    """Rows of ``log1p(x / total * target_sum)``, the total over the genes `present`; warns if they are no counts.

    The target is that share of `target_sum` which these genes hold in the training data, so that missing genes do not
    make the others look higher. It is 1 with all genes.
    """
    summary = reader.summarise(rows)
    reader.check_scale(rows, summary, expected="counts")
    source = LogNormalised(rows.rows, target_sum * _share(model, present))
    empty = int((source.totals == 0).sum())
    if empty:
        warn(
            f"{empty} of {rows.rows.n_rows} observations have no counts on the {present.size} shared genes. Their scores are "
            "those of an empty observation and say nothing.",
            TransferWarning,
        )
    return rows._replace(rows=source)


def _share(model: Any, present: np.ndarray) -> float:
    """Share of an average observation's total that lies on some genes, by second order from moments of the logs."""
    mean, scale = np.asarray(model.mean, dtype=np.float64), np.asarray(model.scale, dtype=np.float64)
    expected = np.maximum(np.exp(mean) * (1 + scale**2 / 2) - 1, 0)
    whole = float(expected.sum())
    return float(expected[present].sum()) / whole if whole > 0 else 1.0


class LogNormalised:
    """Log-normalised counts of another source of rows. Totals are over its columns, whichever are selected later."""

    def __init__(
        self, source: RowSource, target: float, columns: np.ndarray | None = None, totals: np.ndarray | None = None
    ) -> None:
        self._source, self._target, self._columns = source, target, columns
        self.totals = _totals(source) if totals is None else totals
        self.n_rows = source.n_rows
        self.n_cols = source.n_cols if columns is None else columns.size
        self.dtype = np.dtype(np.float32)

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Iterate over all rows in order."""
        low = 0
        for block in self._source.blocks(size):
            yield self._logs(block, self.totals[low : low + len(block)])
            low += len(block)

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the rows at `index`, dense, in its order."""
        return self._logs(self._source.take(index), self.totals[index])

    def select(self, columns: np.ndarray) -> LogNormalised:
        """Return a source of some columns; totals stay."""
        chosen = columns if self._columns is None else self._columns[columns]
        return LogNormalised(self._source, self._target, chosen, self.totals)

    def _logs(self, block: np.ndarray, totals: np.ndarray) -> np.ndarray:
        factor = np.divide(self._target, totals, out=np.zeros_like(totals), where=totals > 0)
        chosen = block if self._columns is None else block[:, self._columns]
        return np.log1p(chosen * factor[:, None]).astype(np.float32)


def _totals(source: RowSource) -> np.ndarray:
    return np.concatenate([block.sum(axis=1, dtype=np.float64) for block in source.blocks()])
