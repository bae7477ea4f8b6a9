"""The original program's own answer, from its start and its hold-outs, through the public verb.

`tests/data/README.md` says how the golden file was made. The original stops at its 350 iterations there and says nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import omicstl as otl

GOLDEN = Path(__file__).parents[1] / "data" / "golden_sle.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return dict(file)


def table(golden, name):
    packed = np.unpackbits(golden[name], axis=0)[: golden["C_shape"][0]]
    return pd.DataFrame(packed, index=golden["genes"], columns=golden["pathways"])


@pytest.fixture(scope="module")
def fitted(golden):
    adata = otl.datasets.sle_adult()[list(golden["samples"]), list(golden["genes"])].copy()
    k = int(golden["k"])
    start = (golden["svd_v"][:, :k] * golden["svd_d"][:k]).T
    with pytest.warns(otl.ConvergenceWarning, match="did not converge in 350"):
        otl.tl.plier(
            adata,
            table(golden, "prior_packed"),
            n_factors=k,
            holdout_prior=table(golden, "C_packed"),
            init_scores=start,
        )
    return adata


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_loadings_and_scores(fitted, golden):
    model = otl.get.model(fitted)
    assert model.features.tolist() == golden["genes"].tolist()
    assert relative(model.loadings, golden["Z"]) < 5e-3
    assert relative(fitted.obsm["plier"].T, golden["B"]) < 5e-3


def test_weights_are_the_same_and_at_the_same_places(fitted, golden):
    model = otl.get.model(fitted)
    assert model.sets.tolist() == golden["pathways"].tolist()
    np.testing.assert_array_equal(model.weights > 0, golden["U"] > 0)
    assert relative(model.weights, golden["U"]) < 1e-2


def test_penalties_and_iterations(fitted, golden):
    entry = fitted.uns["plier"]
    assert entry["n_iter"] == golden["n_iter"] == 350
    assert not entry["converged"]
    np.testing.assert_allclose(entry["penalty_path"], golden["L3_path"], rtol=1e-9)
    params = entry["params"]
    for name, letter in (("prior_weight", "L1"), ("score_penalty", "L2"), ("set_penalty", "L3")):
        assert params[name] == pytest.approx(float(golden[letter]), rel=1e-6)
    elbow = entry["n_components"].set_index("rule").loc["elbow", "n_components"]
    assert elbow == golden["num_pc"]


def test_the_tests_of_held_out_genes(fitted, golden):
    summary = fitted.uns["plier"]["summary"]
    number = summary["factor"].str.split().str[0].str[2:].astype(int)
    found = summary.assign(number=number).set_index(["set", "number"]).sort_index()
    expected = pd.DataFrame(
        {name: golden[f"summary_{name}"] for name in ("pathway", "lv", "auc", "pvalue", "fdr")}
    ).set_index(["pathway", "lv"])
    expected = expected.sort_index()
    assert found.index.tolist() == expected.index.tolist()
    # AUC is a rank statistic of loadings that agree to 1e-3: where two genes nearly tie, an order may differ
    assert np.abs(found["auc"].to_numpy() - expected["auc"].to_numpy()).max() < 5e-3
    assert np.corrcoef(np.log(found["p_nominal"]), np.log(expected["pvalue"]))[0, 1] > 0.99999
    np.testing.assert_array_equal(found["fdr_nominal"] < 0.05, expected["fdr"] < 0.05)
