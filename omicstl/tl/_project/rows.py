"""The rows of a projection: genes matched, on the model's scale, with the statistics that make z-scores of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from omicstl._core.random import streams
from omicstl._data import adata as reader, counts as counts_of
from omicstl._data.features import check_overlap, match_features
from omicstl._data.obsm import read_obsm
from omicstl.kernels import stats
from omicstl.models.factors.projection import Standardised

from . import units as units_of

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import EncoderModel, LinearModel


class Matched(NamedTuple):
    """Genes of the model that the data have: `shared` by name, `used` those of them that can be standardised."""

    rows: reader.Expression  # of the genes used, in the order of the model
    shared: np.ndarray  # names
    missing: np.ndarray  # names
    have: np.ndarray  # (g,) position of each gene used in the data
    present: np.ndarray  # (g,) and in the model
    centre: np.ndarray  # (g,)
    scale: np.ndarray  # (g,)
    mean: np.ndarray  # (g,) of these rows
    units: units_of.Units  # of all shared genes
    target_sum: float | None  # of the counts, if they were normalised

    def orders(self) -> list[np.ndarray]:
        """Permutations of the genes for the null of R²."""
        n = 20 if self.rows.rows.n_rows <= 10_000 else 4
        return [streams(0).generator("permuted genes", i).permutation(self.present.size) for i in range(n)]

    def standardised(self) -> Standardised:
        """Rows as a projection takes them."""
        rows = self.rows.rows
        return Standardised(rows.blocks(), rows.n_rows, self.centre, self.scale, self.mean)


def match(
    adata: AnnData,
    model: LinearModel | EncoderModel,
    layer: str | None,
    obsm: str | None,
    standardize: str,
    force: bool,
) -> Matched:
    """Read the genes of the model, check their scale and choose how to standardise them."""
    if layer is not None and obsm is not None:
        msg = f"`layer` and `obsm` are two places to read from, got layer={layer!r} and obsm={obsm!r}. Leave one out."
        raise ValueError(msg)
    expression = reader.read(adata, layer=layer) if obsm is None else read_obsm(adata, obsm)
    found = match_features(expression.var_names, model.features)
    have = "adata.var_names" if obsm is None else f"the columns of {expression.where}"
    check_overlap(found, expression.var_names, model.features, have, "the reference")
    rows = expression.select(found.have_index)
    target_sum = None if standardize == "none" else counts_of.target_sum(model)
    if target_sum is not None:
        rows = counts_of.normalise(rows, model, found.want_index, target_sum)
        standardize = "reference" if standardize == "auto" else standardize
        summary = reader.summarise(rows)
    else:
        summary = reader.summarise(rows)
        usual = "log" if obsm is None else "any"
        reader.check_scale(rows, summary, expected="zscore" if standardize == "none" else usual)
    seen = stats.finish(summary)
    units = units_of.choose(model, found.want_index, seen, standardize, force)
    used = units.scale > 0
    units_of.warn_constant(rows, used, units)
    if not used.any():
        msg = f"All {used.size} shared genes have one value in every observation of {expression.where}; nothing can be projected."
        raise ValueError(msg)
    if not used.all():  # choosing columns again would convert a CSC matrix again
        rows = rows.select(np.flatnonzero(used))
    return Matched(
        rows=rows,
        shared=expression.var_names[found.have_index],
        missing=found.missing,
        have=found.have_index[used],
        present=found.want_index[used],
        centre=units.centre[used],
        scale=units.scale[used],
        mean=seen.mean[used],
        units=units,
        target_sum=target_sum,
    )
