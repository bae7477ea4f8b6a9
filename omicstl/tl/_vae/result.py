"""What `tl.vae` writes and says."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import ConvergenceWarning, warn
from omicstl._data.genesets import lost_table
from omicstl._data.run import spread_out
from omicstl.models.factors.autoencoder.likelihoods import ACTIVE
from omicstl.models.factors.vae.options import VaeOptions

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.factors.vae.fit import Fit
    from omicstl.models.factors.vae.model import VaeModel

FEW_HELD = 5  # observations
LOGS = ("loss", "reconstruction", "kl", "validation")


def params(fit: Fit, options: VaeOptions) -> dict[str, Any]:
    """Options in a form that files can hold, and sizes."""
    table = asdict(options)
    training = table.pop("training")
    return (
        table
        | training
        | {
            "hidden": np.array(options.hidden, dtype=np.int64),
            "n_obs": fit.model.n_obs,
            "n_genes": int(fit.model.features.size),
            "n_held_out": fit.n_held,
        }
    )


def about(fit: Fit, params: dict[str, Any], lost: list[tuple[str, int]]) -> dict[str, Any]:
    """How the fit went, what each unit carries, and sets that were left out."""
    return {
        "converged": _converged(fit, params),
        "stopped": "patience" if fit.stopped else "epochs",
        "n_iter": len(fit.history),
        "best_epoch": fit.best_epoch or len(fit.history),
        "history": _history(fit),
        "units": units(fit),
        "lost_sets": lost_table(lost),
    }


def loadings(adata: AnnData, model: VaeModel, columns: np.ndarray | None) -> dict[str, np.ndarray]:
    """Loadings of a linear decoder, for `varm`; `columns` are the variables of `adata` in the model."""
    if model.loadings is None or columns is None:
        return {}
    return {"": spread_out(adata, columns, model.loadings)}


def _converged(fit: Fit, params: dict[str, Any]) -> bool:
    """Whether the loss on held-out rows had its lowest point before the end; without any nothing is known against it."""
    return params["patience"] is None or fit.stopped


def _history(fit: Fit) -> pd.DataFrame:
    """One row an epoch, in the form that ensembles have."""
    n = len(fit.history)
    table = {
        "latent_size": np.full(n, fit.model.names.size, dtype=np.int64),
        "member": np.zeros(n, dtype=np.int64),
        "epoch": np.arange(1, n + 1),
    }
    return pd.DataFrame(table | {name: fit.history[:, i].astype(np.float64) for i, name in enumerate(LOGS)})


def units(fit: Fit) -> pd.DataFrame:
    """What each latent unit carries."""
    return pd.DataFrame(
        {
            "factor": fit.model.names,
            "kl": fit.kl,
            "variance": fit.spread,
            "active": fit.spread >= ACTIVE,
        }
    )


def doubt(fit: Fit, params: dict[str, Any]) -> None:
    """Warn before anything is written, in case that warnings are errors."""
    active = fit.spread >= ACTIVE
    if not active.any():
        warn(
            f"None of the {active.size} factors carries anything (variance of the scores at most {fit.spread.max():.2g}): the network "
            "reconstructs without them. Train longer, lower `kl_weight`, or use `kl_warmup` or `free_bits`."
        )
    if 0 < fit.n_held < FEW_HELD:
        warn(
            f"{fit.n_held} observation{'s' if fit.n_held > 1 else ''} held out decided when to stop (best epoch {fit.best_epoch}), which is "
            "hardly more than chance. Hold out more, or none: training=otl.tl.Training(epochs=100)."
        )
    if not _converged(fit, params):
        warn(
            f"The loss on held-out observations was lowest in epoch {fit.best_epoch} of {len(fit.history)}, less than patience="
            f"{params['patience']} before the end. Train longer: training=otl.tl.Training(epochs={2 * params['epochs']}, ...).",
            ConvergenceWarning,
        )


def sentences(fit: Fit, lost: list[tuple[str, int]]) -> list[str]:
    """What is told of the fit."""
    table, model = units(fit), fit.model
    best = f"; best epoch {fit.best_epoch} by {fit.n_held} held-out observations" if fit.n_held else ""
    told = [f"VAE: {model.n_obs} observations of {model.features.size} variables; {len(fit.history)} epochs{best}."]
    if lost:
        names = listed([name for name, _ in lost])
        told.append(f"{len(lost)} gene sets have too few genes in the data and are left out: {names}.")
    idle = table["factor"][~table["active"]].tolist()
    told.append(
        f"{len(table) - len(idle)} of {len(table)} factors are active{f'; not {listed(idle)}' if idle else ''}."
    )
    return told
