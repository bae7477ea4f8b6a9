"""What `tl.scdeal` reads: cells and lines on the genes they share, nothing loaded before it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import check_choice, check_number, check_text, listed, missing_key, near_miss
from omicstl._core.log import TransferWarning, warn
from omicstl._data import adata as reader
from omicstl._data.blocks import block_rows
from omicstl._data.features import match_features, no_overlap_message, species_hint
from omicstl.models.response_cells import Moments, moments
from omicstl.models.screen import Cells, Lines

from . import _project_counts as counts_of, _scdeal_response as response_of

if TYPE_CHECKING:
    from anndata import AnnData

SCALES = ("auto", "counts", "log", "zscore")
TARGET_SUM = 1e4
FEW_GENES = 2000
FEWEST_CELLS, FEWEST_LINES = 10, 10
_CONSTANT = 1e-6


class Target(NamedTuple):
    """Cells that were read: on the scale of the fit, genes in the order of `genes`."""

    cells: Cells
    have: np.ndarray  # (p,) positions of the genes in `adata`
    genes: np.ndarray  # (p,) names
    scale: str  # what was read
    moments: Moments  # of these genes, over the cells that shape the fit


class Read(NamedTuple):
    """Both sides, and which genes and lines were left out."""

    lines: Lines
    target: Target
    mask: np.ndarray | None  # (m,) cells that shape the fit
    response: response_of.Response
    n_shared: int
    n_constant: int


def read_cells(expression: reader.Expression, columns: np.ndarray, scale: str) -> tuple[Any, str, tuple[Any, Any]]:
    """Rows of some genes on a log or z scale, the scale that was found, totals and numbers of genes; all values are checked."""
    summary = reader.summarise(expression)
    low, high = float(summary.low.min()), float(summary.high.max())
    if scale == "auto":
        if low < 0:
            msg = (
                f"{expression.where} has negative values (down to {low:.4g}), so it holds neither counts nor log-normalised counts. "
                "Pass the layer that does; if the z-scores are all there is, say scale='zscore', which lowers the verdict."
            )
            raise ValueError(msg)
        scale = "counts" if summary.integers and high > 2 else "log"
    reader.check_scale(expression, summary, expected={"counts": "counts", "log": "log", "zscore": "any"}[scale])
    if scale != "counts":
        if scale == "log" and low < 0:
            msg = f"{expression.where} has negative values (down to {low:.4g}); log-normalised counts have none. Say scale='zscore' for z-scores."
            raise ValueError(msg)
        return expression.rows.select(columns), scale, (None, None)
    totals, n_genes = _totals(expression)
    empty = int((totals == 0).sum())
    if empty:
        msg = f"{empty} of {totals.size} cells have no counts at all. Leave them out: sc.pp.filter_cells(adata, min_counts=1)."
        raise ValueError(msg)
    logs = Logs(expression.rows.select(columns), TARGET_SUM, totals=totals)
    return logs, scale, (totals, n_genes)


class Logs(counts_of.LogNormalised):
    """Log-normalised counts in single precision, with one copy of a block."""

    def _logs(self, block: np.ndarray, totals: np.ndarray) -> np.ndarray:
        factor = np.divide(self._target, totals, out=np.zeros_like(totals), where=totals > 0)
        out = np.array(block if self._columns is None else block[:, self._columns], dtype=np.float32)
        out *= factor[:, None].astype(np.float32)
        return np.log1p(out, out=out)

    def select(self, columns: np.ndarray) -> Logs:
        """Return a source of some columns; totals stay."""
        return Logs(self._source.select(columns), self._target, totals=self.totals)


def _totals(expression: reader.Expression) -> tuple[np.ndarray, np.ndarray]:
    parts = [
        (block.sum(axis=1, dtype=np.float64), (block > 0).sum(axis=1))
        for block in expression.rows.blocks(block_rows(expression.rows.n_cols))
    ]
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts]).astype(np.int64)


def read(
    adata: AnnData,
    reference: AnnData,
    *,
    drugs: Sequence[str] | None,
    response_key: str | None,
    sensitive: str | None,
    lineage_key: str | None,
    study_key: str | None,
    mask_obs: str | None,
    exclude_lines: Sequence[str],
    min_shared: int,
    scale: str,
    layer: str | None,
) -> Read:
    """Check everything that can be checked before anything is computed, cheap checks first."""
    check_choice("scale", scale, SCALES)
    check_number("min_shared", min_shared, low=2, integer=True)
    reader.check_adata(adata)
    reader.check_adata(reference, name="reference")
    if adata is reference:
        msg = "adata and `reference` are the same object: cells receive, lines are read. Pass the cells first and the lines second."
        raise ValueError(msg)
    response = response_of.read(adata, reference, drugs, response_key, sensitive)
    keep = kept_lines(reference, exclude_lines, response)
    response = response_of.settle(response, keep)
    if keep.size < FEWEST_LINES:
        msg = f"{keep.size} lines are left, and at least {FEWEST_LINES} are needed for a fit."
        raise ValueError(msg)
    lineage, study = (
        group(reference, key, name) for key, name in ((lineage_key, "lineage_key"), (study_key, "study_key"))
    )
    mask = mask_of(adata, mask_obs)
    there = reader.read(reference, name="reference")
    have = reader.read(adata, layer=layer)
    found = match_genes(have.var_names, there.var_names, min_shared)
    n_cells = int(mask.sum()) if mask is not None else adata.n_obs
    if n_cells < FEWEST_CELLS:
        msg = (
            f"{'Of the cells, ' if mask is None else f'In adata.obs[{mask_obs!r}] '}{n_cells} shape{'s' if n_cells == 1 else ''} the fit, and at "
            f"least {FEWEST_CELLS} are needed: genes are z-scored over the cells. Fit on more cells of the same kind, and apply the fit to "
            "these: otl.tl.predict(adata, fitted)."
        )
        raise ValueError(msg)
    cells_rows, found_scale, (totals, n_genes) = read_cells(have, found.have_index, scale)
    lines_rows = there.select(found.want_index)
    x = finite_lines(lines_rows)[keep]
    seen = moments(cells_rows, mask)
    used = varying(x) & seen.varies
    if int(used.sum()) < min_shared:
        msg = (
            f"Of {used.size} shared genes only {int(used.sum())} vary in both the cells and the lines, fewer than min_shared={min_shared}. "
            "Is the matrix filled with zeros, or is the wrong layer read?"
        )
        raise ValueError(msg)
    columns = np.flatnonzero(used)
    cells = Cells(cells_rows.select(columns), found_scale == "zscore", totals, n_genes)
    names = np.asarray(reference.obs_names).astype(str)[keep].astype(object)
    lines = Lines(
        x=np.ascontiguousarray(x[:, columns], np.float32),
        y=response.y,
        drugs=response.drugs,
        binary=response.binary,
        names=names,
        lineage=None if lineage is None else lineage[keep],
        study=None if study is None else study[keep],
    )
    genes = have.var_names[found.have_index][columns]
    return Read(
        lines,
        Target(cells, found.have_index[columns], genes, found_scale, seen.select(columns)),
        mask,
        response,
        int(used.size),
        int((~used).sum()),
    )


def match_genes(have: np.ndarray, want: np.ndarray, min_shared: int) -> Any:
    """Shared genes; too few, or those of another species, are an error."""
    found = match_features(have, want)
    n = int(found.have_index.size)
    species = {species_hint(have), species_hint(want)} - {""}
    if n < min_shared or len(species) == 2:
        text = no_overlap_message(have, want, "adata.var_names", "reference.var_names", n)
        if len(species) == 2 and n >= min_shared:
            text = f"adata and reference are of two species: {text}"
        msg = f"{text} At least min_shared={min_shared} are needed."
        raise ValueError(msg)
    return found


def few_genes(n: int) -> None:
    """Warn where a score rests on few genes."""
    if n < FEW_GENES:
        warn(
            f"adata and reference share {n:,} varying genes. Below {FEW_GENES:,} a score rests on few genes and depends on which they are; "
            "the assessment says so.",
            TransferWarning,
        )


def kept_lines(reference: AnnData, exclude: Sequence[str], response: response_of.Response) -> np.ndarray:
    """Positions of the lines that have a response and are not excluded."""
    names = np.asarray(reference.obs_names).astype(str)
    if isinstance(exclude, str):
        msg = f"`exclude_lines` must be a list of names, got the string {exclude!r}. Use [{exclude!r}]."
        raise TypeError(msg)
    known = set(names)
    for name in exclude:
        if name not in known:
            msg = f"{name!r} of `exclude_lines` is no line: reference.obs_names has {listed(names)}.{near_miss(name, names.tolist())}"
            raise ValueError(msg)
    return np.flatnonzero(~np.isin(names, np.array(list(exclude), dtype=str)) & np.isfinite(response.y).any(axis=1))


def group(reference: AnnData, key: str | None, argument: str) -> np.ndarray | None:
    """A column of the lines as strings; what is missing is a group of its own."""
    check_text(argument, key, optional=True)
    if key is None:
        return None
    if key not in reference.obs:
        raise missing_key(key, "reference.obs", reference.obs.columns)
    column = reference.obs[key].astype(object)
    return np.array(["unknown" if pd.isna(v) else str(v) for v in column], dtype=object)


def mask_of(adata: AnnData, key: str | None) -> np.ndarray | None:
    """Cells that shape the fit."""
    check_text("mask_obs", key, optional=True)
    if key is None:
        return None
    if key not in adata.obs:
        raise missing_key(key, "adata.obs", adata.obs.columns)
    column = adata.obs[key]
    if column.dtype != bool:
        msg = f"adata.obs[{key!r}] (`mask_obs`) must be True or False for each cell, got dtype {column.dtype}. Write e.g. adata.obs[{key!r}] == 'malignant' into a column."
        raise TypeError(msg)
    return column.to_numpy(dtype=bool)


def finite_lines(expression: reader.Expression) -> np.ndarray:
    """All lines, float32, checked."""
    summary = reader.summarise(expression)
    reader.check_scale(expression, summary, expected="log")
    return expression.rows.take(np.arange(expression.rows.n_rows)).astype(np.float32)


def varying(x: np.ndarray) -> np.ndarray:
    """Columns of more than one value."""
    return x.std(axis=0, dtype=np.float64) > _CONSTANT * np.maximum(1, np.abs(x).max(axis=0))


def no_use(kind: str, **options: tuple[object, object]) -> None:
    """Refuse options, each with its default, that a kind of model does not use."""
    for name, (value, default) in options.items():
        if value != default:
            msg = f"`{name}` is not used for a model of the kind {kind!r}, got {value!r}. Leave it out."
            raise ValueError(msg)
