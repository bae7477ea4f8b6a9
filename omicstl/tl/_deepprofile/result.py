"""What `tl.deepprofile` writes and says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.log import ConvergenceWarning, warn
from omicstl.models.factors.deepprofile.train import DeepprofileOptions

from .inputs import Read

if TYPE_CHECKING:
    from omicstl.models.factors.deepprofile.fit import Fit

LOGS = ("loss", "reconstruction", "kl", "validation")


def params(fit: Fit, options: DeepprofileOptions, given: Read) -> dict[str, Any]:
    """Values used, in a form that files can hold."""
    training = options.training
    return {
        "latent_sizes": np.array(options.latent_sizes),
        "n_members": options.n_members,
        "n_clusters": fit.model.n_clusters,
        "clustering": options.rule,
        "linear": options.linear,
        "n_comps": options.n_comps,
        "kl_weight": options.kl_weight,
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "learning_rate": training.learning_rate,
        "validation": training.validation,
        "patience": training.patience,
        "n_obs": given.data.rows.n_rows,
        "n_genes": given.features.size,
        "n_networks": options.n_members * len(options.latent_sizes),
    }


def about(fit: Fit, params: dict[str, Any]) -> dict[str, Any]:
    """How the fit went, and tables of units and clusters."""
    return {
        "converged": not unfinished(fit, params),
        "n_iter": max(epochs_of(fit).values()),
        "nodes": nodes(fit),
        "clusters": clusters(fit),
        "history": history(fit),
    }


def nodes(fit: Fit) -> pd.DataFrame:
    """A row for each latent unit of each member."""
    model, found = fit.model, fit.clusters
    names = np.append(model.names[: model.n_clusters], "")  # the last for -1
    return pd.DataFrame(
        {
            "latent_size": model.node_size,
            "member": model.node_member,
            "unit": model.node_unit,
            "factor": names[model.node_cluster],
            "sign": model.node_sign.astype(np.int64),
            "active": found.active,
            "kl": fit.kl,
            "variance": found.variance,
            "correlation": found.correlation,
        }
    )


def clusters(fit: Fit) -> pd.DataFrame:
    """A row for each factor that is a cluster."""
    model, r = fit.model, np.abs(fit.clusters.correlation)
    k, inside = model.n_clusters, model.node_cluster >= 0
    label = model.node_cluster[inside]
    size = np.bincount(label, minlength=k)
    sizes = np.array(sorted(model.encoders))
    share = np.stack([np.bincount(label[model.node_size[inside] == s], minlength=k) / size for s in sizes], axis=1)
    members = [
        len({*zip(model.node_size[inside][label == c], model.node_member[inside][label == c])}) for c in range(k)
    ]
    table: dict[str, Any] = {
        "factor": model.names[:k],
        "n_nodes": size,
        "n_members": np.array(members),
        "stability": fit.stability,
        "cohesion": np.bincount(label, weights=r[inside], minlength=k) / size,
        "dominant_size": sizes[np.argmax(share, axis=1)],
    }
    return pd.DataFrame(table | {f"share_{s}": share[:, i] for i, s in enumerate(sizes)})


def history(fit: Fit) -> pd.DataFrame:
    """A row for each epoch of each member."""
    parts = []
    for (size, member), values in sorted(fit.history.items()):
        values = values[np.isfinite(values[:, 0])]
        where = {"latent_size": size, "member": member, "epoch": np.arange(1, len(values) + 1)}
        parts.append(pd.DataFrame(where | {name: values[:, i].astype(np.float64) for i, name in enumerate(LOGS)}))
    return pd.concat(parts, ignore_index=True)


def epochs_of(fit: Fit) -> dict[tuple[int, int], int]:
    """Epochs that each member was trained."""
    return {name: int(np.isfinite(values[:, 0]).sum()) for name, values in fit.history.items()}


def unfinished(fit: Fit, params: dict[str, Any]) -> list[tuple[int, int]]:
    """Members that `patience` did not stop; none where it was not asked for."""
    if params["patience"] is None:
        return []
    return [name for name, epochs in epochs_of(fit).items() if epochs == params["epochs"]]


def doubt(fit: Fit, params: dict[str, Any]) -> None:
    """Warn before anything is written, in case that warnings are errors."""
    late = unfinished(fit, params)
    if late:
        warn(
            f"The loss on held-out observations was still falling in {len(late)} of {len(fit.history)} networks at epoch "
            f"{params['epochs']}. Train longer: training=otl.tl.Training(epochs={2 * params['epochs']}, ...).",
            ConvergenceWarning,
        )
    active = fit.clusters.active
    if not active.all():
        warn(
            f"{int((~active).sum())} of {active.size} latent units carry nothing (their posterior mean hardly varies)"
            f"{' and are in no factor' if fit.model.rule == 'aligned' else ''}. Lower `kl_weight` or `latent_sizes`."
        )


def sentences(fit: Fit) -> list[str]:
    """What is told of the fit."""
    model, table = fit.model, clusters(fit)
    middle = np.nanmedian(np.abs(fit.clusters.correlation))
    single = int((table["n_nodes"] == 1).sum())
    return [
        f"{model!r}.",
        f"A unit's median correlation with its factor is {middle:.2f}; {single} factors have a single unit.",
    ]
