"""Two verbs under one key: the second leaves what it leaves alone, and its record names all of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from snapshots import changes, snapshot

import omicstl as otl
from omicstl._core.registry import record
from tests.contract import cases

KEY = "x"
FEW = otl.tl.Training(epochs=2, batch_size=20)


def data() -> AnnData:
    """Cells that every verb can read: counts, their logarithms, two platforms, classes known in one."""
    adata = cases.screen()
    adata.layers["log"] = np.log1p(adata.X)
    adata.obs["platform"] = ["old"] * 24 + ["new"] * 16
    adata.obs["class"] = ["high", "low", "low", "high"] * 6 + [None] * 16
    adata.obs["group"] = ["a", "b"] * 20
    return adata


def gene_sets() -> dict[str, list[str]]:
    names = cases.screen().var_names
    return {f"set {i}": names[10 * i : 10 * i + 30].tolist() for i in range(8)}


def plier(adata: AnnData, key: str) -> None:
    otl.tl.plier(adata, gene_sets(), n_factors=4, max_iter=25, tol=0.1, layer="log", key_added=key)


def vae(adata: AnnData, key: str, decoder: str = "linear") -> None:
    otl.tl.vae(adata, n_factors=3, hidden=(8,), decoder=decoder, training=FEW, layer="log", key_added=key)


def vae_without_loadings(adata: AnnData, key: str) -> None:
    vae(adata, key, "mlp")


def deepprofile(adata: AnnData, key: str) -> None:
    cases.deepprofile(adata, layer="log", key_added=key)


def gene_modules(adata: AnnData, key: str) -> None:
    otl.pp.gene_modules(adata, n_modules=8, n_top_genes=100, layer="log", key_added=key)


def adapt(adata: AnnData, key: str) -> None:
    otl.tl.adapt(
        adata, domain_key="platform", label_key="class", method="coral", safeguard=False, layer="log", key_added=key
    )


def scdeal(adata: AnnData, key: str) -> None:
    cases.scdeal(adata, key_added=key)


@cache
def fitted(verb: Callable[[AnnData, str], None]) -> AnnData:
    adata = data()
    quiet(verb, adata, "reference")
    return adata


def project(adata: AnnData, key: str) -> None:
    otl.tl.project(adata, fitted(plier), layer="log", key_added=key)


def project_onto_encoders(adata: AnnData, key: str) -> None:
    otl.tl.project(adata, fitted(vae_without_loadings), layer="log", key_added=key)


def predict(adata: AnnData, key: str) -> None:
    otl.tl.predict(adata, fitted(scdeal), key_added=key)


def predict_classes(adata: AnnData, key: str) -> None:
    otl.tl.predict(adata, fitted(adapt), layer="log", key_added=key)


#: The name of its record for every way to write under a key of one's own.
VERBS = {
    plier: "plier",
    vae: "vae",
    vae_without_loadings: "vae",
    deepprofile: "deepprofile",
    gene_modules: "gene_modules",
    adapt: "adapt",
    scdeal: "scdeal",
    project: "project",
    project_onto_encoders: "project",
    predict: "predict",
    predict_classes: "predict",
}


def quiet(verb: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        verb(*arguments, **options)


def talked_about(adata: AnnData) -> None:
    """All that can be computed from the scores under the key, as far as their kind allows it."""
    for verb, options in (
        (otl.tl.rank_factors_groups, {"phenotype": "group", "factors": "all"}),
        (otl.tl.rank_factors_groups, {"phenotype": "group", "factors": "all", "key_added": "my_test"}),
        (otl.tl.attributions, {"n_steps": 2}),
        (otl.tl.enrich, {"gene_sets": gene_sets(), "fdr": 1.0, "min_genes": 10}),
        (otl.tl.assess, {}),
    ):
        try:
            quiet(verb, adata, key=KEY, **options)
        except (KeyError, ValueError, NotImplementedError):
            continue


@cache
def first(verb: Callable[[AnnData, str], None]) -> AnnData:
    adata = data()
    quiet(verb, adata, KEY)
    talked_about(adata)
    return adata


@cache
def alone(verb: Callable[[AnnData, str], None]) -> AnnData:
    adata = data()
    quiet(verb, adata, KEY)
    return adata


def top(paths: Any) -> set[str]:
    return {"/".join(path.split("/")[:2]) for path in paths if "/" in path}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_nothing_is_written_that_the_record_does_not_name(verb):
    row = record(VERBS[verb])
    written = top(changes(snapshot(data()), snapshot(alone(verb)))) - {"obs", "var", "uns"}
    named = {slot.format(key=KEY) for slot in row.slots}
    assert {slot.format(key=KEY) for slot in row.writes} <= written <= named


@pytest.mark.parametrize("second", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("one", VERBS, ids=lambda verb: verb.__name__)
def test_nothing_stale_is_left(one, second):
    adata = first(one).copy()
    before = snapshot(adata)
    there, new = first(one).uns[KEY], alone(second).uns[KEY]
    over_a_fit = "model" in there and new["kind"] in ("projection", "prediction")
    if over_a_fit or (there["kind"] == "projection" and "model" in new):
        with pytest.raises(ValueError, match="holds a "):
            quiet(second, adata, KEY)
        assert not changes(before, snapshot(adata))
        return
    quiet(second, adata, KEY)
    assert not changes(snapshot(alone(second)), snapshot(adata))


def test_what_was_computed_from_the_scores_goes_with_them():
    found = first(deepprofile)
    assert {"x_test", "my_test", "x_attributions", "x_enrichment"} <= set(found.uns)
    assert "x_assessment" in first(project).uns
    assert "x_assessment" in first(scdeal).uns


def test_what_is_about_other_scores_stays():
    adata = data()
    quiet(plier, adata, "kept")
    otl.tl.enrich(adata, gene_sets(), key="kept", fdr=1.0, min_genes=10)
    quiet(plier, adata, KEY)
    quiet(vae, adata, KEY)
    assert {"kept", "kept_enrichment"} <= set(adata.uns)
    otl.tl.enrich(adata, gene_sets(), key="kept", fdr=0.5, min_genes=10)
    assert "kept" in adata.varm


def test_columns_of_others_stay():
    adata = data()
    adata.obs["x_r2"] = 1.0
    quiet(plier, adata, KEY)
    quiet(vae, adata, KEY)
    np.testing.assert_array_equal(adata.obs["x_r2"], 1.0)
