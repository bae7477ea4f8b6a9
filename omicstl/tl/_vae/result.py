"""What `tl.vae` writes and says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import ConvergenceWarning, info, warn
from omicstl._data import store
from omicstl._data.commit import Result, of_earlier_fit
from omicstl.models.factors.autoencoder.likelihoods import ACTIVE

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.factors.vae.fit import Fit

FEW_HELD = 5  # observations
LOGS = ("loss", "reconstruction", "kl", "validation")


def result(
    adata: AnnData,
    fit: Fit,
    columns: np.ndarray | None,
    lost: list[tuple[str, int]],
    params: dict[str, Any],
    key: str,
    model_path: str | Path | None,
) -> Result:
    """Scores, their uncertainty, loadings where there are any, and the model. `columns`: the variables of `adata` in it."""
    model = fit.model
    tree = model.to_dict()
    digest = store.digest(tree)
    stored: dict[str, Any] = tree
    if model_path is not None:
        store.write_model(model_path, tree)
        stored = {"kind": model.kind, "path": str(model_path), "digest": digest, "n_bytes": store.n_bytes(tree)}
    varm = {}
    if model.loadings is not None and columns is not None:
        loadings = np.zeros((adata.n_vars, model.names.size), dtype=np.float32)
        loadings[columns] = model.loadings
        varm[key] = loadings
    uns = {
        "kind": model.kind,
        "version": model.version,
        "digest": digest,
        "params": params,
        "names": model.names,
        "converged": _converged(fit, params),
        "stopped": "patience" if fit.stopped else "epochs",
        "n_iter": len(fit.history),
        "best_epoch": fit.best_epoch or len(fit.history),
        "history": _history(fit),
        "units": units(fit),
        "lost_sets": _lost(lost),
        "model": stored,
    }
    scores = {key: fit.scores, f"{key}_sd": fit.sd}
    return Result(key=key, obsm=scores, varm=varm, uns=uns, drop=of_earlier_fit(adata, key))


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


def _lost(lost: list[tuple[str, int]]) -> pd.DataFrame:
    """Gene sets that were left out, and how many of their genes the data have."""
    names, sizes = [name for name, _ in lost], [size for _, size in lost]
    return pd.DataFrame({"set": np.array(names, dtype=object), "n_genes": np.array(sizes, dtype=np.int64)})


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


def tell(fit: Fit, lost: list[tuple[str, int]], key: str) -> None:
    """Say what was done."""
    table, model = units(fit), fit.model
    best = f"; best epoch {fit.best_epoch} by {fit.n_held} held-out observations" if fit.n_held else ""
    info(f"VAE: {model.n_obs} observations of {model.features.size} variables; {len(fit.history)} epochs{best}.")
    if lost:
        info(
            f"{len(lost)} gene sets have too few genes in the data and are left out: {listed([name for name, _ in lost])}."
        )
    idle = table["factor"][~table["active"]].tolist()
    info(f"{len(table) - len(idle)} of {len(table)} factors are active{f'; not {listed(idle)}' if idle else ''}.")
    info(f"Written to obsm[{key!r}], obsm[{key + '_sd'!r}] and uns[{key!r}].")
