"""What `tl.vae` is given, checked and brought into the form of a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice, check_number
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl._data import adata as reader, genesets
from omicstl._data.checkpoints import Checkpoints, rows_digest
from omicstl._data.run import Run
from omicstl.models.factors.autoencoder.covariates import Covariates
from omicstl.models.factors.autoencoder.likelihoods import LIKELIHOODS
from omicstl.models.factors.autoencoder.rows import Data
from omicstl.models.factors.vae.options import DECODERS, VaeOptions, size_in_bytes
from omicstl.tl._shared import encoder_rows
from omicstl.tl._shared.encoder_rows import Observed

DEFAULTS = {"n_factors": 10, "min_genes": 10, "n_extra": 1}
TRAINING = Training(epochs=400, batch_size=100, learning_rate=1e-3, validation=0.1, patience=20)


@dataclass(frozen=True)
class Asked:
    """What a user wants to be read, by the names of `tl.vae`."""

    layer: str | None
    obsm: str | None
    batch_key: str | None
    covariates: Sequence[str]
    gene_sets: Any
    min_genes: int
    n_extra: int

    def params(self) -> dict[str, Any]:
        """In a form that files can hold."""
        names = ("layer", "obsm", "batch_key", "min_genes", "n_extra")
        return {name: getattr(self, name) for name in names} | {
            "covariates": np.array(list(self.covariates), dtype=object)
        }


class Sets(NamedTuple):
    """Units of a masked decoder: their names, their genes (k, p), and the sets that had too few."""

    names: np.ndarray
    mask: np.ndarray
    lost: list[tuple[str, int]]


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
    for size in hidden:
        check_number("hidden", size, low=1, integer=True, advice="Each is the size of a layer, e.g. hidden=(250, 100).")
    return tuple(int(size) for size in hidden)


def training_of(training: Training | None) -> Training:
    """Options of training, or the defaults of this verb."""
    training = TRAINING if training is None else training
    return training


def checked(options: VaeOptions, min_genes: int, n_extra: int) -> VaeOptions:
    """Check what does not need the data."""
    check_number("n_factors", options.n_factors, low=1, integer=True)
    check_choice("likelihood", options.likelihood, LIKELIHOODS)
    check_number("n_extra", n_extra, low=0, integer=True)
    check_number("min_genes", min_genes, low=1, integer=True)
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


class Read(NamedTuple):
    """Rows to train on, and all that belongs to them."""

    expression: reader.Expression
    used: np.ndarray
    """(n_vars,) which variables of the matrix vary."""
    seen: Observed
    units: Sets | None
    options: VaeOptions
    data: Data
    codes: Covariates

    @property
    def lost(self) -> list[tuple[str, int]]:
        """Gene sets that were left out."""
        return [] if self.units is None else self.units.lost

    @property
    def names(self) -> np.ndarray:
        """Names of the factors: those of their sets, or "VAE1", ..."""
        return unit_names(self.options.n_factors) if self.units is None else self.units.names

    @property
    def mask(self) -> np.ndarray | None:
        """Genes that each unit may use."""
        return None if self.units is None else self.units.mask


def read(run: Run, options: VaeOptions, asked: Asked) -> Read:
    """Read and check the data, settle what they decide, and refuse a model that could not travel."""
    expression = encoder_rows.read(run.adata, asked.layer, asked.obsm)
    seen = encoder_rows.observed(run.adata, asked.batch_key, asked.covariates)
    summary = reader.summarise(expression)
    encoder_rows.check_values(expression, summary, options.likelihood, asked.obsm)
    used = summary.low < summary.high
    expression = encoder_rows.drop_constant(expression, used)
    units = None
    if asked.gene_sets is not None:
        units = sets(asked.gene_sets, expression, asked.min_genes, asked.n_extra)
    options = settled(options, units, expression)
    check_size(run, expression, options, seen)
    data, codes = encoder_rows.data(expression, summary, used, options.likelihood, seen)
    return Read(expression, used, seen, units, options, data, codes)


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


def checkpoint(folder: str | Path | None, read: Read, random: Streams) -> Checkpoints | None:
    """The folder of a run of these data and settings."""
    if folder is None:
        return None
    expression, units, seen, chosen = read.expression, read.units, read.seen, read.options
    arrays = [expression.var_names, *seen.values.values(), *([] if units is None else [units.names, units.mask])]
    given = hashlib.sha256("\n".join(f"{a.shape} {a.tolist()}" for a in arrays).encode())
    settings = asdict(chosen) | {"hidden": str(chosen.hidden), "seed": random.entropy}
    return Checkpoints(
        folder, {"data": rows_digest(expression.rows), "names_and_covariates": given.hexdigest(), "options": settings}
    )
