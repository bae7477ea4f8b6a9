"""Rows that encoders are trained on: read, checked, with the covariates that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import listed
from omicstl._core.log import warn
from omicstl._core.settings import settings
from omicstl._data import adata as reader, columns as columns_of
from omicstl._data.obsm import read_obsm
from omicstl.kernels import stats
from omicstl.models.factors.autoencoder import covariates as covariate_parts, rows as vae_data
from omicstl.models.factors.autoencoder.likelihoods import COUNTS, GAUSSIAN

if TYPE_CHECKING:
    from anndata import AnnData

LEAST_OBS = 10


IN_MEMORY = 16  # blocks of `settings.block_bytes` that rows to train on may take; larger data are read while training


class Observed(NamedTuple):
    """Columns of `obs` in use: their values by name, levels of the categorical ones, and the batch of each observation."""

    values: dict[str, np.ndarray]
    levels: dict[str, list[str]]
    batch: np.ndarray | None


def read(adata: AnnData, layer: str | None, obsm: str | None) -> reader.Expression:
    """The matrix to fit on."""
    if obsm is not None and layer is not None:
        msg = f"`layer` and `obsm` are two places to read from, got layer={layer!r} and obsm={obsm!r}. Leave one out."
        raise ValueError(msg)
    expression = reader.read(adata, layer=layer) if obsm is None else read_obsm(adata, obsm)
    if expression.rows.n_rows < LEAST_OBS:
        msg = (
            f"A VAE needs at least {LEAST_OBS} observations, got {expression.rows.n_rows}. Bring the factors of a larger cohort to "
            "these data instead: otl.tl.project(adata, reference)."
        )
        raise ValueError(msg)
    return expression


def check_values(expression: reader.Expression, summary: stats.Summary, likelihood: str, obsm: str | None) -> None:
    """Refuse data that the likelihood gives no probability, and warn of the wrong scale."""
    low, high, where = float(summary.low.min()), float(summary.high.max()), expression.where
    if likelihood in COUNTS:
        if low >= 0 and not summary.integers:
            msg = (
                f"{where} is not made of integers (values up to {high:.4g}), and likelihood={likelihood!r} is one of counts. Pass "
                "the layer that holds the raw counts, e.g. layer='counts', or use likelihood='gaussian' for log expression."
            )
            raise ValueError(msg)
        reader.check_scale(expression, summary, expected="counts")
    elif likelihood == "bernoulli":
        if low < 0 or high > 1:
            msg = (
                f"{where} has values from {low:.4g} to {high:.4g}, and likelihood='bernoulli' is for those between 0 and 1. Bring "
                "them there, e.g. detected or not: (counts > 0).astype('float32')."
            )
            raise ValueError(msg)
    else:
        reader.check_scale(expression, summary, expected="log" if obsm is None else "any")


def drop_constant(expression: reader.Expression, varying: np.ndarray) -> reader.Expression:
    """Leave out variables of one value, which have no z-score."""
    if varying.all():
        return expression
    constant = expression.var_names[~varying]
    if not varying.any():
        msg = f"All {varying.size} variables of {expression.where} have one value in every observation; there is nothing to learn."
        raise ValueError(msg)
    warn(
        f"{constant.size} of {varying.size} variables have one value in all observations and are left out of the model: "
        f"{listed(constant)}."
    )
    return expression.select(np.flatnonzero(varying))


def observed(adata: AnnData, batch_key: str | None, covariates: Sequence[str]) -> Observed:
    """Read columns of `obs`; those that a network cannot use are refused."""
    names = columns_of.check_names("covariates", covariates, "age")
    if batch_key is not None and batch_key in names:
        msg = f"{batch_key!r} is named as `batch_key` and in `covariates`. Leave it out of one of them."
        raise ValueError(msg)
    values: dict[str, np.ndarray] = {}
    levels: dict[str, list[str]] = {}
    batch = None
    for name in [*([batch_key] if batch_key is not None else []), *names]:
        argument = "batch_key" if name == batch_key else "covariates"
        column = columns_of.complete(columns_of.read_column(adata, name, argument=argument))
        if column.is_number and name != batch_key:
            values[name] = np.asarray(column.numbers)
            if np.ptp(values[name]) == 0:
                msg = f"adata.obs[{name!r}] has one value, so it says nothing about observations. Leave it out."
                raise ValueError(msg)
            continue
        columns_of.doubt_levels(columns_of.check_unmeasured(column))
        levels[name] = list(column.levels)
        if len(levels[name]) < 2:
            msg = f"adata.obs[{name!r}] has one level, {levels[name][0]!r}, so there is nothing to adjust for. Leave it out."
            raise ValueError(msg)
        values[name] = column.text
        batch = column.codes if name == batch_key else batch
    return Observed(values, levels, batch)


def _check_batches(seen: Observed) -> None:
    """Standardising within a batch needs two observations of it."""
    if seen.batch is None:
        return
    name = next(iter(seen.values))
    sizes = np.bincount(seen.batch)
    small = [seen.levels[name][i] for i in np.flatnonzero(sizes < 2)]
    if small:
        msg = (
            f"Variables are standardised within each batch, and {len(small)} of {sizes.size} levels of adata.obs[{name!r}] have a single "
            f"observation: {listed(small)}. Merge them with others or leave them out."
        )
        raise ValueError(msg)


def data(
    expression: reader.Expression, summary: stats.Summary, used: np.ndarray, likelihood: str, seen: Observed
) -> tuple[vae_data.Data, covariate_parts.Covariates]:
    """Rows to train on, in memory if they fit, and how covariates are coded."""
    if likelihood in GAUSSIAN:
        _check_batches(seen)
    codes = covariate_parts.learn(seen.values, seen.levels)
    source: Any = expression.rows
    fits = 4 * source.n_rows * source.n_cols <= IN_MEMORY * settings.block_bytes
    rows = vae_data.InMemory.load(source) if fits else vae_data.Streamed(source)
    matrix = codes.matrix(seen.values, rows.n_rows)
    finished = stats.finish(summary)
    mean, scale = finished.mean[used], np.sqrt(finished.variance[used])
    if likelihood in GAUSSIAN:
        return vae_data.gaussian(rows, likelihood, mean, scale, matrix, seen.batch), codes
    if likelihood not in COUNTS:
        return vae_data.Data(rows, likelihood, mean, scale, matrix), codes
    totals = vae_data.totals_of(rows)
    if not totals.all():
        empty = expression.obs_names[totals == 0]
        msg = (
            f"{empty.size} observations have no counts in {expression.where}: {listed(empty)}. Leave them out, e.g. "
            "sc.pp.filter_cells(adata, min_counts=1)."
        )
        raise ValueError(msg)
    return vae_data.counts(rows, likelihood, totals, matrix), codes
