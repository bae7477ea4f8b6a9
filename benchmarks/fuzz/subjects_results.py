"""Valid calls of what reads results (`get`, `metrics`, `pl`) and of the records of options in `tl`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import omicstl as otl
from tests.contract import cases


@cache
def _everything() -> AnnData:
    """A cohort with a fit, refits, enrichment and a test."""
    adata = cases.tested()
    otl.tl.stability(adata, n_refits=2)
    otl.tl.enrich(adata, cases.gene_sets(), min_genes=10, fdr=1)
    otl.tl.rank_factors_groups(adata, "group", factors="all", reference_group="a")
    return adata


@cache
def _vae() -> AnnData:
    adata = cases.cohort()
    otl.tl.vae(adata, n_factors=3, decoder="linear", hidden=(8,), training=cases.FEW)
    otl.tl.vae(adata, n_factors=3, decoder="linear", hidden=(8,), training=cases.FEW, rng=1, key_added="other")
    otl.tl.attributions(adata, "vae", n_steps=5)
    return adata


@cache
def _deepprofile() -> AnnData:
    adata = cases.networked()
    otl.tl.attributions(adata, n_steps=5)
    return adata


@cache
def _projected() -> AnnData:
    adata = cases.projected()
    adata.obs["group"] = ["a", "b"] * (cases.N_QUERY // 2)
    otl.tl.rank_factors_groups(adata, "group", factors="all", reference_group="a")
    otl.tl.assess(adata)
    return adata


@cache
def _response() -> AnnData:
    adata = cases.screen()
    cases.scdeal(adata, level=otl.tl.ResponseRidge(align="coral", n_members=3))
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(adata.n_obs, 3))
    return adata


@cache
def _predictions() -> AnnData:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    obs = pd.DataFrame({"truth": y, "alone": y + rng.normal(size=40), "moved": rng.normal(size=40)})
    return AnnData(np.zeros((40, 1)), obs=obs.set_axis([f"o{i}" for i in range(40)]))


@cache
def _domains() -> AnnData:
    """Two domains whose labels are all known, with a small representation."""
    adata = cases.domains()
    score = np.asarray(adata.X)[:, 0]
    adata.obs["class"] = np.where(score > np.median(score), "high", "low")
    adata.obsm["few"] = np.asarray(adata.X)[:, :4].astype(float)
    return adata


def _names(adata: AnnData) -> list[str]:
    return [str(name) for name in adata.uns["plier"]["names"]]


def _card() -> dict[str, Any]:
    return {"adata": _everything().copy(), "factor": _names(_everything())[0], "groupby": "group", "n_genes": 5}


def _replication() -> Any:
    test = _everything().copy()
    return otl.metrics.replication(test, _projected().copy(), contrast="b - a", other_contrast="b - a")


def _sets() -> list[str]:
    return [str(name) for name in otl.get.summary(_everything())["set"].unique()]


def _held_out() -> dict[str, list[str]]:
    """Sets that the fit has not seen: halves of two that it has."""
    sets = list(cases.gene_sets().values())
    return {f"new{i}": [*sets[i][::2], *sets[i + 1][::2]] for i in range(3)}


def _table() -> pd.DataFrame:
    own = {"target": "B cell", "source": "8 patients", "named": [1, 0], "rho": [0.4, None]}
    public = {"target": "B cell", "source": "transferred", "named": [1, 1], "rho": [0.8, 0.9]}
    return pd.concat([pd.DataFrame(own), pd.DataFrame(public)], ignore_index=True)


def _of(make: Callable[[], AnnData], **more: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"adata": make().copy(), **{name: v() if callable(v) else v for name, v in more.items()}}


_SHIFT = {"domain_key": "platform", "source": lambda: ["old"], "target": "new", "obsm": "few"}
_TRUTH = lambda: np.random.default_rng(0).normal(size=(cases.N_OBS, 2))
CALLS: dict[str, Callable[[], dict[str, Any]]] = {
    "get.enrichment": _of(_everything),
    "get.factors": _of(_everything),
    "get.loadings": _of(_everything),
    "get.model": _of(_everything),
    "get.rank_factors_groups_df": _of(_everything, contrast="b - a"),
    "get.response": _of(_response),
    "get.summary": _of(_everything),
    "metrics.active_units": _of(_vae, key="vae"),
    "metrics.calibration": _of(_vae, truth=_TRUTH, key="vae"),
    "metrics.collection_auc": _of(_everything, gene_sets=_held_out),
    "metrics.coverage": _of(_everything),
    "metrics.da_bound": _of(_domains, label_key="class", **_SHIFT),
    "metrics.domain_distance": _of(_domains, n_permutations=20, **_SHIFT),
    "metrics.factor_recovery": _of(_everything, truth=_TRUTH),
    "metrics.importance_weights": _of(_domains, **_SHIFT),
    "metrics.label_shift": _of(_domains, label_key="class", n_resamples=20, **_SHIFT),
    "metrics.latent_stability": lambda: {
        "a": _vae().copy(),
        "b": _vae().copy(),
        "key": "vae",
        "other_key": "other",
        "n_permutations": 5,
    },
    "metrics.match_factors": lambda: {"a": _everything().copy(), "b": _everything().copy()},
    "metrics.negative_transfer": _of(
        _predictions, prediction="moved", baseline="alone", label_key="truth", n_resamples=50
    ),
    "metrics.reconstruction": _of(_everything),
    "metrics.replication": lambda: {
        "a": _everything().copy(),
        "b": _projected().copy(),
        "contrast": "b - a",
        "other_contrast": "b - a",
    },
    "metrics.separation": _of(_everything, first=lambda: _sets()[:1], second=lambda: _sets()[1:2]),
    "metrics.shift_report": _of(_domains, label_key="class", **_SHIFT),
    "metrics.transferability": _of(_domains, label_key="class", obsm="few", n_permutations=20),
    "pl.attributions": _of(_vae, key="vae"),
    "pl.composition": _of(_deepprofile),
    "pl.factor_card": _card,
    "pl.factors_heatmap": _of(_everything, groupby="group", n_factors=3),
    "pl.loadings": _of(_everything, factor=lambda: _names(_everything())[0], n_genes=5),
    "pl.projection_quality": _of(_projected),
    "pl.rank_factors_groups": _of(_everything, contrast="b - a"),
    "pl.replication": lambda: {"result": _replication()},
    "pl.response": _of(_response, basis="pca"),
    "pl.stability": _of(_everything),
    "pl.training": _of(_vae, key="vae"),
    "pl.transfer": lambda: {"table": _table()},
    "pl.transfer_report": _of(_projected),
    "pl.uncertainty": _of(_vae, key="vae"),
    "pl.weights": _of(_everything, n_factors=3),
}
#: Records of options are public too, and are made with an argument changed.
CALLS |= {f"tl.{name}": dict for name in otl.tl.__all__ if inspect.isclass(getattr(otl.tl, name))}
