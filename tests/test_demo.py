"""The parts of the demo on simulated data; `.ci/run` runs the whole as the README says."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl import demo


@pytest.fixture(scope="module")
def cohorts():
    both, truth = otl.datasets.simulate_pathways(n_obs=80, n_query=30, noise=0.3, rng=1)
    reference = both[both.obs["cohort"] == "reference"].copy()
    query = both[both.obs["cohort"] == "query"].copy()
    otl.tl.plier(reference, truth.gene_sets, n_factors=8)
    driving = [name for name, row in zip(truth.gene_sets, truth.weights, strict=True) if row.max() > 0]
    for name in driving:
        factor = int(np.argmax(truth.weights[list(truth.gene_sets).index(name)]))
        query.obs[name] = truth.scores[80:, factor]
    return reference, query, truth, driving


def test_the_first_complete_sample_of_each_person() -> None:
    obs = pd.DataFrame(
        {
            "subject": list("aabbc"),
            "visit": [2.0, 1, 1, 2, 1],
            "cd4": [1.0, 2, np.nan, 4, np.nan],
            "cd8": [10.0, 20, 30, 40, 50],
        },
        index=list("vwxyz"),
    )
    cohort = ad.AnnData(np.zeros((5, 2), dtype=np.float32), obs=obs)
    cohort.uns["plier"] = {"kind": "projection"}
    people = demo.measured_people(cohort, {"T cell": ("cd4", "cd8")})
    assert people.obs_names.tolist() == ["w", "y"]
    assert people.obs["T cell"].tolist() == [22.0, 44.0]
    assert not people.uns
    assert "plier" in cohort.uns


def test_the_factor_is_chosen_by_name_and_evidence() -> None:
    names = np.array(["LV1 T cell", "LV2", "LV3 B cell", "LV4 T cell", "LV5 T cell receptor"], dtype=object)
    summary = pd.DataFrame(
        {
            "factor": ["LV1 T cell", "LV4 T cell", "LV2", "LV5 T cell receptor", "LV1 T cell", "LV3 B cell"],
            "set": ["T cell", "T cell", "T cell", "T cell", "B cell", "B cell"],
            "auc": [0.8, 0.9, 0.99, 0.99, 1.0, 0.7],
            "coefficient": [3.0, 1.0, 9.0, 9.0, 1.0, 1.0],
        }
    )
    fitted = ad.AnnData(np.zeros((2, 2), dtype=np.float32), uns={"plier": {"names": names, "summary": summary}})
    assert demo.named_factor(fitted, "T cell") == 3
    assert demo.named_factor(fitted, "B cell") == 2
    assert demo.named_factor(fitted, "NK cell") is None
    summary.loc[0, "auc"] = 0.9
    assert demo.named_factor(fitted, "T cell") == 0, "equal AUC: the larger coefficient"


def test_marker_mean() -> None:
    x = np.array([[1.0, 5, 2], [2, 5, 9], [3, 5, 4]], dtype=np.float32)
    adata = ad.AnnData(x, var=pd.DataFrame(index=["a", "constant", "other"]))
    z = np.array([-1, 0, 1]) / np.std([1, 2, 3])
    np.testing.assert_allclose(demo.marker_mean(adata, ["a", "constant", "missing"]), z, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::omicstl.ConvergenceWarning", "ignore::omicstl.TransferWarning")
def test_compare_tabulates_every_draw(cohorts) -> None:
    reference, query, truth, driving = cohorts
    before = query.copy()
    others = [name for name in truth.gene_sets if name not in driving][:1]
    table, _ = demo.compare(query, reference, truth.gene_sets, cells=[*driving, *others], patients=(10,), n_draws=2)
    assert list(pd.unique(table["source"])) == ["10 patients", "transferred", "marker mean"]
    counts = table.groupby("source", sort=False).size().tolist()
    assert counts == [2 * (len(driving) + 1), 2 * (len(driving) + 1), 2 * len(driving)]
    known = table[(table["source"] == "transferred") & (table["named"] == 1)]
    assert len(known) >= 4
    assert known["rho"].min() > 0.7, "what was simulated is found"
    assert table.loc[table["named"] == 0, "rho"].isna().all()
    assert table.loc[table["target"] == others[0], "rho"].isna().all(), "nothing was measured"
    again, _ = demo.compare(query, reference, truth.gene_sets, cells=[*driving, *others], patients=(10,), n_draws=2)
    pd.testing.assert_frame_equal(table, again)
    assert list(query.obsm) == list(before.obsm)
    assert list(query.uns) == list(before.uns)


def test_shuffled_genes_are_refused(cohorts) -> None:
    reference, query, _, _ = cohorts
    query = query[:, :].copy()
    query.obs["subject"] = query.obs_names
    shuffled, messages = demo.shuffle(query, reference)
    assert shuffled.uns["plier"]["quality"]["verdict"] == "refused"
    assert any("refused" in message for message in messages)
    np.testing.assert_array_equal(shuffled.X, query.X)


@pytest.mark.parametrize("good", [True, False])
def test_the_report_follows_the_numbers(good: bool) -> None:
    rows = [
        ("B cell", "8 patients", 0.0, np.nan),
        ("B cell", "20 patients", 1.0 if not good else 0.0, 0.9 if not good else np.nan),
        ("B cell", "transferred", 1.0, 0.8),
        ("B cell", "marker mean", np.nan, 0.5 if good else 0.95),
    ]
    text = "\n".join(demo.report(pd.DataFrame(rows, columns=["target", "source", "named", "rho"])))
    assert ("More than 20 patients" in text) == good
    assert ("ahead of the plain mean" in text) == good
    assert ("behind the plain mean of its markers (0.95)" in text) == (not good)
    assert ("No draw, however many patients, named: B cell" in text) == good


@pytest.mark.slow
def test_the_whole_demo(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(demo, "DRAWS", 2)
    monkeypatch.setattr(demo, "PATIENTS", (12,))
    cohort = demo.demo(tmp_path)
    text = capsys.readouterr().out
    assert "Verdict: supported" in text
    assert "Verdict: refused" in text
    written = ad.read_h5ad(tmp_path / "omicstl_demo.h5ad")
    pd.testing.assert_frame_equal(
        written.uns["demo"]["comparison"].reset_index(drop=True), cohort.uns["demo"]["comparison"], check_dtype=False
    )
    assert (tmp_path / "omicstl_demo.png").stat().st_size < 300_000
