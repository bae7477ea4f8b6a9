"""What `tl.deepprofile` writes and says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.log import ConvergenceWarning, info, warn
from omicstl._data import store
from omicstl._data.commit import Result, of_earlier_fit

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.factors.deepprofile.fit import Fit

LOGS = ("loss", "reconstruction", "kl", "validation")


def result(adata: AnnData, fit: Fit, params: dict[str, Any], key: str, model_path: str | Path | None) -> Result:
    """Scores, their uncertainty, tables of units and clusters, and the model."""
    model = fit.model
    tree = model.to_dict()
    digest = store.digest(tree)
    stored: dict[str, Any] = tree
    if model_path is not None:
        store.write_model(model_path, tree)
        stored = {"kind": model.kind, "path": str(model_path), "digest": digest, "n_bytes": store.n_bytes(tree)}
    uns = {
        "kind": model.kind,
        "version": model.version,
        "digest": digest,
        "params": params | {"n_clusters": model.n_clusters},
        "names": model.names,
        "converged": not unfinished(fit, params),
        "n_iter": max(epochs_of(fit).values()),
        "nodes": nodes(fit),
        "clusters": clusters(fit),
        "history": history(fit),
        "model": stored,
    }
    scores, sd, between = fit.embedded
    obsm = {key: scores, f"{key}_sd": sd, f"{key}_sd_between": between}
    return Result(key=key, obsm=obsm, uns=uns, drop=of_earlier_fit(adata, key))


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


def tell(fit: Fit, key: str) -> None:
    """Say what was done."""
    model, table = fit.model, clusters(fit)
    info(f"{model!r}.")
    info(
        f"A unit's median correlation with its factor is {np.nanmedian(np.abs(fit.clusters.correlation)):.2f}; "
        f"{int((table['n_nodes'] == 1).sum())} factors have a single unit. Written to obsm and uns[{key!r}]."
    )
