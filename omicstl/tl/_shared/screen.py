"""What `tl.scdeal` reads: cells and lines on the genes they share, nothing loaded before it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice, check_number, listed, near_miss
from omicstl._core.log import ScaleWarning, TransferWarning, warn
from omicstl._data import adata as reader, columns as columns_of, counts as counts_of
from omicstl._data.blocks import SubsetRows
from omicstl._data.features import match_features, no_overlap_message, species_hint
from omicstl.models.response.cells import ROWS, Moments, moments
from omicstl.models.transfer.screen import Cells, Lines

from . import response as response_of

if TYPE_CHECKING:
    from anndata import AnnData

SCALES = ("auto", "counts", "log", "zscore")
TARGET_SUM = 1e4
FEW_GENES = 2000
FEWEST_CELLS, FEWEST_LINES = 10, 10
LOG_MOST, COUNTS_LEAST = 100, 20  # no logarithm is above the first; the largest count is above the second
_CONSTANT = 1e-6


@dataclass(frozen=True)
class Asked:
    """What a user says of both sides, by the names of `tl.scdeal`."""

    drugs: Sequence[str] | None = None
    response_key: str | None = None
    sensitive: str | None = None
    lineage_key: str | None = None
    study_key: str | None = None
    mask_obs: str | None = None
    exclude_lines: Sequence[str] = ()
    min_shared: int = 100
    scale: str = "auto"
    layer: str | None = None

    def params(self) -> dict[str, Any]:
        """In a form that files can hold; the drugs and the scale are those that were found."""
        table = {field.name: getattr(self, field.name) for field in fields(self)}
        del table["drugs"], table["scale"]
        return table | {"exclude_lines": np.array(list(self.exclude_lines), dtype=object)}


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
    seen = _Counted(expression.rows)
    scale = scale_of(expression, reader.summarise(expression._replace(rows=seen)), scale)
    if scale != "counts":
        return expression.rows.select(columns), scale, (None, None)
    totals, n_genes = seen.counted()
    empty = int((totals == 0).sum())
    if empty:
        msg = f"{empty} of {totals.size} cells have no counts at all. Leave them out: sc.pp.filter_cells(adata, min_counts=1)."
        raise ValueError(msg)
    logs = Logs(expression.rows.select(columns), TARGET_SUM, totals=totals)
    return logs, scale, (totals, n_genes)


def scale_of(expression: reader.Expression, summary: Any, scale: str) -> str:
    """Find the scale, or check the one stated: one that the values rule out is refused, one that they make doubtful a warning."""
    low, high = float(summary.low.min()), float(summary.high.max())
    where, integers = expression.where, bool(summary.integers) and high > 2 and low >= 0
    stated = scale != "auto"
    if scale == "auto":
        if low < 0:
            msg = (
                f"{where} has negative values (down to {low:.4g}), so it holds neither counts nor log-normalised counts. "
                "Pass the layer that does; if the z-scores are all there is, say scale='zscore', which lowers the verdict."
            )
            raise ValueError(msg)
        scale = "counts" if integers else "log"
    reader.check_scale(expression, summary, expected="any")
    out = ""
    if scale == "log" and low < 0:
        out = f"has negative values (down to {low:.4g}); log-normalised counts have none. Say scale='zscore' for z-scores."
    elif scale == "log" and integers:
        out = f"holds raw counts (integers up to {high:g}). Leave `scale` out or say scale='counts'; they are log-normalised on the way."
    elif scale == "log" and high > LOG_MOST:
        out = (
            f"has values up to {high:.4g}, which are neither integers nor logarithms. Pass the layer with counts, or take logarithms: sc.pp.log1p(adata). "
            "Say scale='counts' for counts that are not integers, such as corrected ones."
        )
    elif scale == "counts" and not summary.integers and low >= 0 and high <= COUNTS_LEAST:
        out = f"holds no counts: values are not integers and at most {high:.4g}. Leave `scale` out or say scale='log' for log-normalised counts."
    elif scale == "zscore" and integers:
        out = f"holds raw counts (integers up to {high:g}). Leave `scale` out or say scale='counts'."
    if out:
        msg = f"{where} {out}{f' Got scale={scale!r}.' if stated else ''}"
        raise ValueError(msg)
    if scale == "counts":
        reader.check_scale(expression, summary, expected="counts")
    if scale == "zscore" and low >= 0:
        warn(
            f"{where} has no negative value, and z-scores have. Leave `scale` out for log-normalised counts.",
            ScaleWarning,
        )
    return scale


class Logs(counts_of.LogNormalised):
    """Log-normalised counts in single precision, in blocks of at most 512 rows, of which a copy is made."""

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Iterate over all rows in order."""
        low = 0
        for block in self._source.blocks(size):
            for part in (block[i : i + ROWS] for i in range(0, len(block), ROWS)):
                yield self._logs(part, self.totals[low : low + len(part)])
                low += len(part)

    def _logs(self, block: np.ndarray, totals: np.ndarray) -> np.ndarray:
        factor = np.divide(self._target, totals, out=np.zeros_like(totals), where=totals > 0)
        out = np.array(block if self._columns is None else block[:, self._columns], dtype=np.float32)
        out *= factor[:, None].astype(np.float32)
        return np.log1p(out, out=out)

    def select(self, columns: np.ndarray) -> Logs:
        """Return a source of some columns; totals stay."""
        return Logs(self._source.select(columns), self._target, totals=self.totals)


class _Counted(SubsetRows):
    """Rows of a source, of which totals and numbers of genes are taken as they go by."""

    def __init__(self, source: Any) -> None:
        super().__init__(source, np.arange(source.n_rows))
        self._all = source
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        for block in self._all.blocks(size):
            self._parts.append((block.sum(axis=1, dtype=np.float64), (block > 0).sum(axis=1)))
            yield block

    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """Totals and numbers of genes (m,), after one pass."""
        totals, n_genes = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        return totals, n_genes.astype(np.int64)


def read(adata: AnnData, reference: AnnData, asked: Asked) -> Read:
    """Check everything that can be checked before anything is computed, cheap checks first."""
    check_choice("scale", asked.scale, SCALES)
    check_number("min_shared", asked.min_shared, low=2, integer=True)
    reader.check_adata(adata)
    reader.check_adata(reference, name="reference")
    if adata is reference:
        msg = "adata and `reference` are the same object: cells receive, lines are read. Pass the cells first and the lines second."
        raise ValueError(msg)
    response = response_of.read(adata, reference, asked.drugs, asked.response_key, asked.sensitive)
    keep = kept_lines(reference, asked.exclude_lines, response)
    response = response_of.settle(response, keep)
    if keep.size < FEWEST_LINES:
        msg = f"{keep.size} lines are left, and at least {FEWEST_LINES} are needed for a fit."
        raise ValueError(msg)
    lineage, study = (
        group_names(reference, key, name, "reference")
        for key, name in ((asked.lineage_key, "lineage_key"), (asked.study_key, "study_key"))
    )
    lineage, study = groups_of_lines(lineage, study, asked.lineage_key, asked.study_key, keep)
    mask = mask_of(adata, asked.mask_obs)
    there = _lines(reference)
    have = reader.read(adata, layer=asked.layer)
    found = match_genes(have.var_names, there.var_names, asked.min_shared)
    n_cells = int(mask.sum()) if mask is not None else adata.n_obs
    if n_cells < FEWEST_CELLS:
        msg = (
            f"{'Of the cells, ' if mask is None else f'In adata.obs[{asked.mask_obs!r}] '}{n_cells} shape{'s' if n_cells == 1 else ''} the fit, and at "
            f"least {FEWEST_CELLS} are needed: genes are z-scored over the cells. Fit on more cells of the same kind, and apply the fit to "
            "these: otl.tl.predict(adata, fitted)."
        )
        raise ValueError(msg)
    cells_rows, found_scale, (totals, n_genes) = read_cells(have, found.have_index, asked.scale)
    lines_rows = there.select(found.want_index)
    x = finite_lines(lines_rows)[keep]
    seen = moments(cells_rows, mask)
    in_lines = varying(x)
    used = in_lines & seen.varies
    if int(used.sum()) < asked.min_shared:
        msg = (
            f"Of {used.size} shared genes only {int(used.sum())} vary in both the cells and the lines, fewer than min_shared={asked.min_shared} "
            f"(in the cells {int(seen.varies.sum())} vary, in the lines {int(in_lines.sum())}). "
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
        lineage=lineage,
        study=study,
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
        if n == len(want) and len(species) < 2:
            msg = f"adata and reference share {n} genes, all that reference has, and at least min_shared={min_shared} are needed. Lower `min_shared`."
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


def _lines(reference: AnnData) -> reader.Expression:
    layers = reader.layer_names(reference)
    if layers and reference.X is None:
        msg = f"reference.X is None, and lines are read from X alone. Put the layer with log expression there: reference.X = reference.layers[{layers[0]!r}]."
        raise ValueError(msg)
    return reader.read(reference, name="reference")


def kept_lines(reference: AnnData, exclude: Sequence[str], response: response_of.Response) -> np.ndarray:
    """Positions of the lines that have a response and are not excluded."""
    names = np.asarray(reference.obs_names).astype(str)
    unique, count = np.unique(names, return_counts=True)
    if (count > 1).any():
        twice = unique[count > 1]
        msg = (
            f"reference.obs_names are not unique: {listed(twice)} {'occur' if twice.size > 1 else 'occurs'} more than once, so a line that is left out would stay in under its "
            "name. Keep one row of each line, or the mean of its replicates; other lines of one name: reference.obs_names_make_unique()."
        )
        raise ValueError(msg)
    known = set(names)
    for name in exclude:
        if name not in known:
            msg = f"{str(name)!r} of `exclude_lines` is no line: reference.obs_names has {listed(names)}.{near_miss(name, names.tolist())}"
            raise ValueError(msg)
    return np.flatnonzero(~np.isin(names, np.array(list(exclude), dtype=str)) & np.isfinite(response.y).any(axis=1))


def group_names(adata: AnnData, key: str | None, argument: str, name: str = "adata") -> np.ndarray | None:
    """Names of the group of each row, if a column of groups is named."""
    if key is None:
        return None
    return columns_of.groups(adata, key, argument=argument, name=name, category=TransferWarning).text


def groups_of_lines(
    lineage: np.ndarray | None,
    study: np.ndarray | None,
    lineage_key: str | None,
    study_key: str | None,
    keep: np.ndarray,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Lineages and studies of the lines that are kept; those that nothing could be done with are refused."""
    lineage, study = (None if names is None else names[keep] for names in (lineage, study))
    if lineage is not None and (lineage == lineage[0]).all():
        msg = (
            f"reference.obs[{lineage_key!r}] (`lineage_key`) has one lineage, {str(lineage[0])!r}, for all {lineage.size} lines with a response, so none can be "
            "left out. Leave `lineage_key` out: lines are then left out at random."
        )
        raise ValueError(msg)
    if study is not None and np.unique(study.astype(str), return_counts=True)[1].max() < FEWEST_LINES:
        msg = (
            f"reference.obs[{study_key!r}] (`study_key`) has no study with {FEWEST_LINES} lines or more with a response, so genes cannot be z-scored within "
            "studies. Leave `study_key` out, or join small studies."
        )
        raise ValueError(msg)
    return lineage, study


def mask_of(adata: AnnData, key: str | None) -> np.ndarray | None:
    """Cells that shape the fit, if a column says which."""
    return None if key is None else columns_of.mask(adata, key)


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
