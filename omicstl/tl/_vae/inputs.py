"""What `tl.vae` is given, checked and brought into the form of a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice, check_flag, check_number, listed
from omicstl._core.log import warn
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl._core.settings import settings
from omicstl._data import adata as reader, columns as columns_of, genesets
from omicstl._data.checkpoints import Checkpoints, rows_digest
from omicstl._data.obsm import read_obsm
from omicstl._data.run import Run
from omicstl.kernels import stats
from omicstl.models.factors.autoencoder import covariates as covariate_parts, rows as vae_data
from omicstl.models.factors.autoencoder.likelihoods import COUNTS, GAUSSIAN, LIKELIHOODS
from omicstl.models.factors.vae.options import DECODERS, VaeOptions, size_in_bytes

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS = {"n_factors": 10, "min_genes": 10, "n_extra": 1}
TRAINING = Training(epochs=400, batch_size=100, learning_rate=1e-3, validation=0.1, patience=20)
LEAST_OBS = 10
IN_MEMORY = 16  # blocks of `settings.block_bytes` that rows to train on may take; larger data are read while training


class Sets(NamedTuple):
    """Units of a masked decoder: their names, their genes (k, p), and the sets that had too few."""

    names: np.ndarray
    mask: np.ndarray
    lost: list[tuple[str, int]]


class Observed(NamedTuple):
    """Columns of `obs` in use: their values by name, levels of the categorical ones, and the batch of each observation."""

    values: dict[str, np.ndarray]
    levels: dict[str, list[str]]
    batch: np.ndarray | None


def decoder_of(decoder: str | None, gene_sets: object) -> str:
    """The decoder that was asked for, or that `gene_sets` ask for."""
    decoder = ("mlp" if gene_sets is None else "masked") if decoder is None else decoder
    check_choice("decoder", decoder, DECODERS)
    if decoder == "masked" and gene_sets is None:
        msg = "decoder='masked' needs `gene_sets`, whose genes each unit may use. Pass them, or use decoder='linear'."
        raise ValueError(msg)
    if decoder != "masked" and gene_sets is not None:
        msg = (
            f"`gene_sets` have no use with decoder={decoder!r}, got both. Use decoder='masked', or leave the sets out."
        )
        raise ValueError(msg)
    return decoder


def layers(hidden: Sequence[int]) -> tuple[int, ...]:
    """Sizes of hidden layers, checked."""
    if isinstance(hidden, str) or not isinstance(hidden, Sequence | np.ndarray):
        msg = f"`hidden` must be the sizes of the hidden layers, such as (250, 100), got {hidden!r}."
        raise TypeError(msg)
    for size in hidden:
        check_number("hidden", size, low=1, integer=True, advice="Each is the size of a layer, e.g. hidden=(250, 100).")
    return tuple(int(size) for size in hidden)


def training_of(training: Training | None) -> Training:
    """Options of training, or the defaults of this verb."""
    training = TRAINING if training is None else training
    if not isinstance(training, Training):
        msg = f"`training` must be an otl.tl.Training, got {type(training).__name__}. Write training=otl.tl.Training(epochs=100)."
        raise TypeError(msg)
    return training


def checked(options: VaeOptions, min_genes: int, n_extra: int) -> VaeOptions:
    """Check what does not need the data."""
    check_number("n_factors", options.n_factors, low=1, integer=True)
    check_choice("likelihood", options.likelihood, LIKELIHOODS)
    check_number("n_extra", n_extra, low=0, integer=True)
    check_number("min_genes", min_genes, low=1, integer=True)
    check_flag("positive", options.positive)
    _check_unused(options, min_genes, n_extra)
    check_number("kl_weight", options.kl_weight, low=0)
    check_number("free_bits", options.free_bits, low=0)
    check_number("kl_warmup", options.kl_warmup, low=0, integer=True)
    epochs = options.training.epochs
    if options.kl_warmup > epochs:
        msg = f"`kl_warmup` must be at most the number of epochs, got {options.kl_warmup} of {epochs}. Train longer, or warm up less."
        raise ValueError(msg)
    return replace(
        options,
        n_factors=int(options.n_factors),
        positive=bool(options.positive),
        kl_weight=float(options.kl_weight),
        kl_warmup=int(options.kl_warmup),
        free_bits=float(options.free_bits),
    )


def _check_unused(options: VaeOptions, min_genes: int, n_extra: int) -> None:
    """Refuse options that the decoder makes void, rather than ignore them."""
    decoder, masked = options.decoder, options.decoder == "masked"
    void = [
        ("n_factors", options.n_factors, masked, "Each set is a factor, and there are n_extra more"),
        ("min_genes", min_genes, not masked, "It belongs to `gene_sets`"),
        ("n_extra", n_extra, not masked, "It belongs to `gene_sets`"),
    ]
    for name, value, is_void, why in void:
        if is_void and value != DEFAULTS[name]:
            msg = f"`{name}` has no use with decoder={decoder!r}, got {name}={value!r}. {why}. Leave it out."
            raise ValueError(msg)
    if options.positive and decoder == "mlp":
        msg = "positive=True needs weights that say what a factor does: use decoder='linear', or pass `gene_sets`."
        raise ValueError(msg)


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


def settled(chosen: VaeOptions, units: Sets | None, expression: reader.Expression) -> VaeOptions:
    """The options with the number of factors that the gene sets make, checked against the data."""
    if units is not None:
        chosen = replace(chosen, n_factors=units.names.size)
    n_vars = expression.var_names.size
    if chosen.n_factors > n_vars:
        msg = f"`n_factors` must be at most the {n_vars} variables of {expression.where} that vary, got {chosen.n_factors}. Use fewer."
        raise ValueError(msg)
    return chosen


def sets(source: Any, expression: reader.Expression, min_genes: int, n_extra: int) -> Sets:
    """Units of a masked decoder: one for each set with enough genes, then dense ones."""
    matched = genesets.match(genesets.read_gene_sets(source), expression.var_names, min_genes=min_genes)
    m = matched.names.size
    mask = np.ones((m + n_extra, expression.var_names.size), np.float32)
    mask[:m] = 0
    mask[:m, matched.columns] = matched.membership.T.toarray()
    extra = [f"extra{i + 1}" for i in range(n_extra)]
    return Sets(np.array([*map(str, matched.names), *extra], dtype=object), mask, matched.lost_sets)


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
    rows = vae_data.InMemory.load(source) if fits else source
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


def unit_names(n_factors: int) -> np.ndarray:
    """Names of factors that have no sets."""
    return np.array([f"VAE{i + 1}" for i in range(n_factors)], dtype=object)


def check_size(run: Run, expression: reader.Expression, chosen: VaeOptions, seen: Observed) -> None:
    """Refuse a model that could not travel in the AnnData, before the fit and not after it."""
    n_vars = expression.var_names.size
    n_covariates = sum(len(seen.levels.get(name, " ")) for name in seen.values)
    size = size_in_bytes(chosen, n_vars, n_covariates, expression.rows.n_rows)
    what = f"{chosen.n_factors} factors of {n_vars} variables, hidden layers {chosen.hidden}"
    run.check_size(size, what, "smaller layers in `hidden`, fewer variables")


def checkpoint(
    folder: str | Path | None,
    expression: reader.Expression,
    units: Sets | None,
    seen: Observed,
    chosen: VaeOptions,
    random: Streams,
) -> Checkpoints | None:
    """The folder of a run of these data and settings."""
    if folder is None:
        return None
    arrays = [expression.var_names, *seen.values.values(), *([] if units is None else [units.names, units.mask])]
    given = hashlib.sha256("\n".join(f"{a.shape} {a.tolist()}" for a in arrays).encode())
    settings = asdict(chosen) | {"hidden": str(chosen.hidden), "seed": random.entropy}
    return Checkpoints(
        folder, {"data": rows_digest(expression.rows), "names_and_covariates": given.hexdigest(), "options": settings}
    )
