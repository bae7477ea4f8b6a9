"""Options of a variational autoencoder and what follows from them; loads no compiler."""

from __future__ import annotations

from dataclasses import dataclass, field

from omicstl._core.options.training import Training

DECODERS = ("mlp", "linear", "masked")
AXES = 50  # principal axes that are kept for genes which other data lack


@dataclass(frozen=True)
class VaeOptions:
    """Options of a fit, by the names of `tl.vae`."""

    n_factors: int = 10
    likelihood: str = "gaussian"
    decoder: str = "mlp"
    hidden: tuple[int, ...] = (128,)
    positive: bool = False
    kl_weight: float = 1.0
    kl_warmup: int = 0
    free_bits: float = 0.0
    training: Training = field(default_factory=Training)


def size_in_bytes(options: VaeOptions, n_genes: int, n_covariates: int, n_obs: int) -> int:
    """Bytes of a model of these sizes, known before any fit."""
    widths = [n_genes + n_covariates, *options.hidden, 2 * options.n_factors]
    encoder = sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    loadings = 0 if options.decoder == "mlp" else n_genes * options.n_factors
    axes = min(AXES, n_genes, n_obs - 1)
    return 4 * (encoder + loadings + n_genes * axes) + n_genes * (3 * 8 + 16) + 8 * axes
