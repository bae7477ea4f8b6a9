"""`tl.assess`: what it writes for every kind of transfer, and what it refuses."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl._core.log import TransferWarning
from omicstl.models.assess import gather as evidence, known, tables
from omicstl.models.assess.decide import STANDING
from omicstl.models.response import network


@pytest.fixture(scope="module")
def screen():
    """Cells scored for one drug, and the lines; 300 genes, so that tests are quick."""
    cells, lines, _ = otl.datasets.simulate_drug_response(150, 200, 300, n_drugs=7, rng=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        otl.tl.scdeal(
            cells, lines, drugs=["ln_ic50"], sensitive="low", lineage_key="tissue", study_key="laboratory",
            level=otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=2),
        )  # fmt: skip
    return cells, lines


@pytest.fixture(scope="module")
def projected():
    both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    reference, query = both[:60].copy(), both[60:].copy()
    otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=60, tol=1e-3)
    otl.tl.project(query, reference)
    return query


def status(adata: ad.AnnData, key: str) -> dict[str, str]:
    table = adata.uns[f"{key}_assessment"]["checks"]
    return dict(zip(table["check"], table["status"], strict=True))


def test_a_screen(screen, tmp_path) -> None:
    cells, lines = screen[0].copy(), screen[1]
    before = cells.obs.copy()
    assert otl.tl.assess(cells, lines) is None
    found = cells.uns["scdeal_assessment"]
    assert found["verdict"] == "caution", "few genes"
    assert found["sentence"] == STANDING
    assert [reason for reason in found["reasons"] if reason.startswith("Few shared genes: 300")]
    seen = status(cells, "scdeal")
    assert seen["signal within lineages"] == seen["sources agree"] == seen["gene identity"] == "passed"
    assert seen["depth"] == "passed"
    assert seen["batch"] == "not checked"
    assert set(found["checks"].columns) == {"check", "status", "value", "limit", "null", "why"}
    assert found["drugs"]["drug"].tolist() == ["ln_ic50"]
    assert 0.3 < found["score"] <= 1
    assert np.isfinite(found["nulls"]["p"]).all()
    pd.testing.assert_frame_equal(cells.obs, before)
    cells.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad").uns["scdeal_assessment"]
    assert again["checks"]["why"].tolist() == found["checks"]["why"].tolist()
    np.testing.assert_array_equal(again["baselines"]["agreement"], found["baselines"]["agreement"])


@pytest.mark.parametrize("level", ["fast", "full"])
def test_tables_beside_the_checks(screen, level, caplog, monkeypatch) -> None:
    cells, lines = screen[0][:80].copy(), screen[1]
    said: list[int] = []
    gather = evidence.gather

    def listening(*given, **more):
        said.append(len([record for record in caplog.records if "CPU seconds for boosting" in record.message]))
        return gather(*given, **more)

    def quick(part, own, options, random, **more):
        score = own.rows.take(np.arange(own.rows.n_rows)).sum(axis=1)[:, None]
        return SimpleNamespace(score=score, score_lines=part.y + 0.1)

    monkeypatch.setattr(evidence, "gather", listening)
    monkeypatch.setattr(network, "fit", quick)
    with caplog.at_level("INFO"):
        otl.tl.assess(cells, lines, level=level)
    assert said == [int(level == "full")], "the cost is told before the work starts, and only where there is one"
    found = cells.uns["scdeal_assessment"]
    baselines = found["baselines"].set_index("baseline")
    for name in ("boosting", "unaligned network"):
        fitted = np.isfinite(baselines.loc[name, ["agreement", "source_rho"]].astype(float)).all()
        assert fitted == (level == "full")
        assert baselines.loc[name, "note"].startswith("not checked") == (level == "fast")
    if level == "full":
        assert baselines.loc["unaligned network", "source_rho"] == pytest.approx(1), (
            "lines that were left out are compared"
        )
    shift = found["shift"]
    assert {
        "kind of shift",
        "proxy A-distance",
        "MMD",
        "bound: error in the lines",
        "bound: divergence",
        "bound: joint error",
    } <= set(shift["measure"])
    assert {f"share of sensitive cells, {how}" for how in ("EM", "BBSE")} <= set(shift["measure"])
    assert (np.isfinite(shift["value"]) | (shift["note"] != "")).all()
    selection = found["selection"]
    assert {
        "lineages left out, rho",
        "importance-weighted risk",
        "deep-embedded risk",
        "effective lines",
        "taken",
    } <= set(selection["criterion"])
    circular = selection[selection["criterion"].str.startswith("circular")]
    assert np.isfinite(circular["value"]).all() == (level == "full")
    assert selection.loc[selection["criterion"] == "taken", "candidate"].item() == "none"
    assert status(cells, "scdeal")["sign over members"] == "not checked", "two members are too few"


@pytest.mark.slow
def test_the_network_without_alignment(screen) -> None:
    cells, lines = screen[0].copy(), screen[1]
    otl.tl.assess(cells, lines, level="full")
    baselines = cells.uns["scdeal_assessment"]["baselines"].set_index("baseline")
    assert baselines.loc["unaligned network", "agreement"] > 0.5
    assert baselines.loc["unaligned network", "source_rho"] > 0.4


def test_one_drug_of_a_table_is_held_against_general_sensitivity(screen) -> None:
    cells, lines = screen[0].copy(), screen[1].copy()
    names = [str(name) for name in lines.uns["ln_ic50_names"]]
    table = pd.DataFrame(lines.obsm["ln_ic50"], columns=names, index=lines.obs_names)
    table["broken"] = np.inf
    lines.obsm["table"] = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        otl.tl.scdeal(
            cells, lines, drugs=names[:1], response_key="table", sensitive="low", lineage_key="tissue",
            level=otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=5),
        )  # fmt: skip
    assert status(cells, "scdeal")["beats general sensitivity"] in ("passed", "caution")
    assert status(cells, "scdeal")["sign over members"] == "passed"
    found = cells.uns["scdeal_assessment"]
    assert found["drugs"]["drug"].tolist() == names[:1]
    general = found["baselines"].set_index("baseline").loc["general sensitivity"]
    assert np.isfinite(general["agreement"])
    assert found["drugs"]["general_rho"].item() == pytest.approx(general["source_rho"])
    lines.obsm["table"] = table.drop(columns="broken")
    otl.tl.assess(cells, lines)
    again = cells.uns["scdeal_assessment"]
    assert again["drugs"]["general_rho"].item() == pytest.approx(general["source_rho"], abs=0.02), "as when asked for"


def test_signs_over_members_of_a_fit() -> None:
    random = np.random.default_rng(0)
    latent = random.normal(size=(60, 3))
    moved = np.zeros((10, 3, 1))
    moved[:2, 0, 0] = -3.0  # two of ten turn round
    model = SimpleNamespace(
        drugs=np.array(["a/b"], dtype=object), coefficients=np.array([[1.0], [0.0], [0.0]]), members=moved
    )
    (check,) = known.of_members(model, latent, None)["a/b"]
    assert (check.status, check.value) == ("caution", pytest.approx(0.2))
    model.members = moved[:2]
    assert known.of_members(model, latent, np.arange(60) < 30)["a/b"][0].status == "not checked"
    heads = np.array([1.0, 1.0, 1.0, -5.0])
    networks = SimpleNamespace(
        drugs=np.array(["d"], dtype=object), networks={}, members=lambda z: (heads[:, None] * z[:, 0])[:, :, None]
    )
    (check,) = known.of_members(networks, latent, None)["d"]
    assert (check.status, check.value) == ("failed", pytest.approx(0.75)), "one of four decides the mean"


def test_the_cost_that_is_told_grows_with_everything() -> None:
    base = tables.expected_seconds("scdeal", 500, 3000, 1000, 1)
    assert 10 < base < 60
    for bigger in ((1000, 3000, 1000, 1), (500, 6000, 1000, 1), (500, 3000, 5000, 1), (500, 3000, 1000, 5)):
        assert tables.expected_seconds("scdeal", *bigger) > base
    assert tables.expected_seconds("adapt", 500, 3000, 1000, 1) < base


def test_labels_of_the_cells_are_not_read(screen) -> None:
    cells, lines = screen[0].copy(), screen[1]
    otl.tl.assess(cells, lines)
    blind = screen[0].copy()
    blind.obs = blind.obs[[name for name in blind.obs if name.startswith("scdeal")]]
    otl.tl.assess(blind, lines)
    one, two = (adata.uns["scdeal_assessment"]["checks"]["value"] for adata in (cells, blind))
    np.testing.assert_array_equal(one, two)


def test_a_batch_and_a_seed(screen) -> None:
    cells, lines = screen[0].copy(), screen[1]
    score = cells.obs["scdeal_score"]
    cells.obs["plate"] = np.where(score > score.median(), "one", "two")
    otl.tl.assess(cells, lines, batch_key="plate", rng=5)
    assert status(cells, "scdeal")["batch"] == "caution"
    assert cells.uns["scdeal_assessment"]["params"]["rng"] == 5
    copied = otl.tl.assess(cells, lines, copy=True)
    assert copied is not cells
    assert status(copied, "scdeal")["batch"] == "not checked"


def test_several_drugs(screen) -> None:
    cells, lines = screen[0].copy(), screen[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        otl.tl.scdeal(
            cells, lines, response_key="ln_ic50", sensitive="low", lineage_key="tissue",
            level=otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=2),
        )  # fmt: skip
    names = [str(name) for name in lines.uns["ln_ic50_names"]]
    assert "/" in names[1]
    otl.tl.assess(cells, lines, drugs=names[:2])
    found = cells.uns["scdeal_assessment"]
    assert found["drugs"]["drug"].tolist() == names[:2]
    assert np.isfinite(found["drugs"]["general_rho"]).all(), "the other drugs are read for general sensitivity"
    assert found["checks"]["check"].iloc[-1] == "drugs"
    each = found["drug_checks"]
    assert each["drug"].unique().tolist() == names[:2], "no word without its table"
    worst = each[each["drug"] == names[0]]["status"]
    word = "do not use" if "failed" in set(worst) else "caution"
    assert found["drugs"]["verdict"].iloc[0] == word
    assert set(found["baselines"]["drug"]) == set(found["nulls"]["drug"]) == set(names[:2])
    assert found["reasons"][0].startswith("Few shared genes")
    with pytest.raises(KeyError, match="Did you mean"):
        otl.tl.assess(cells, lines, drugs=[names[0] + "x"])
    with pytest.raises(TypeError, match=r"Write drugs=\['"):
        otl.tl.assess(cells, lines, drugs=names[0])
    with pytest.raises(ValueError, match="each drug once"):
        otl.tl.assess(cells, lines, drugs=[names[0], names[0]])


def test_a_projection(projected) -> None:
    query = projected.copy()
    otl.tl.assess(query)
    found = query.uns["plier_assessment"]
    assert found["verdict"] == "supported"
    assert found["params"]["kind"] == "projection"
    assert len(found["drugs"]) == 0
    assert found["baselines"]["note"].iloc[-1] == "not checked: a projection predicts no response"
    assert found["nulls"]["mean"].item() == pytest.approx(query.uns["plier"]["quality"]["r2_null"])
    for table in ("shift", "selection"):
        assert found[table]["note"].str.startswith("not checked: a projection reads no labels").all()
    refused = projected.copy()
    refused.uns["plier"]["quality"] |= {"share_above_null": 0.2, "verdict": "refused"}
    otl.tl.assess(refused)
    assert refused.uns["plier_assessment"]["verdict"] == "do not use"
    assert "does not describe these data" in refused.uns["plier_assessment"]["reasons"][0]
    weak = projected.copy()
    weak.uns["plier"]["quality"] |= {"r2": 0.01, "r2_expected": 0.2, "gene_coverage": 0.3}
    otl.tl.assess(weak)
    assert weak.uns["plier_assessment"]["verdict"] == "caution"
    assert status(weak, "plier")["beside the reference"] == status(weak, "plier")["shared genes"] == "caution"
    unknown = projected.copy()
    unknown.uns["plier"]["quality"] |= {"share_above_null": np.nan, "r2": np.nan}
    otl.tl.assess(unknown)
    assert unknown.uns["plier_assessment"]["verdict"] == "caution"


@pytest.mark.parametrize("label", ["score", "class"])
def test_an_adaptation(label) -> None:
    adata, truth = otl.datasets.simulate_pathways(90, 150, rng=0)
    random = np.random.default_rng(0)
    adata.obs["cohort"] = random.permutation(["one"] * 30 + ["two"] * 30 + ["new"] * 30)
    new = (adata.obs["cohort"] == "new").to_numpy()
    score = truth.scores[:, 0] + 0.2 * random.normal(size=90)
    adata.obs["score"] = np.where(new, np.nan, score)
    adata.obs["class"] = pd.Categorical(np.where(score > np.median(score), "high", "low")).set_categories(
        ["low", "high"]
    )
    adata.obs.loc[new, "class"] = np.nan
    adata.obs["person"] = [f"P{i % 9}" for i in range(90)]
    otl.tl.adapt(adata, domain_key="cohort", label_key=label, block="person", method="none", safeguard=False)
    otl.tl.assess(adata)
    found = adata.uns["adapt_assessment"]
    assert found["drugs"]["n_lines"].tolist() == [60]
    assert status(adata, "adapt")["signal in the source"] == "passed"
    assert not any("drug" in why or "cells" in why or "lines" in why for why in found["checks"]["why"])
    assert status(adata, "adapt")["agreement with ridge"] == "passed", "larger is the second class"
    assert np.isfinite(found["shift"].set_index("measure").loc["bound: divergence", "value"])
    assert not any(word in note for note in found["shift"]["note"] for word in ("drug", "cells", "lines"))
    criteria = found["selection"]["criterion"].tolist()
    assert "taken" in criteria
    assert "blocks left out, rho" in criteria
    with pytest.raises(ValueError, match="`reference` is not used for an adaptation"):
        otl.tl.assess(adata, adata.copy())


def test_what_is_refused(screen, projected) -> None:
    cells, lines = screen
    with pytest.raises(KeyError, match="no transfer. Make one with"):
        otl.tl.assess(lines)
    with pytest.raises(KeyError, match="Did you mean 'scdeal'"):
        otl.tl.assess(cells, lines, key="scdael")
    with pytest.raises(ValueError, match=r"The lines that 'scdeal' learnt from are needed"):
        otl.tl.assess(cells)
    with pytest.raises(ValueError, match="`level` must be one of 'fast', 'full'"):
        otl.tl.assess(cells, lines, level="slow")
    with pytest.raises(KeyError, match=r"'plate' not found in adata.obs"):
        otl.tl.assess(cells, lines, batch_key="plate")
    with pytest.raises(ValueError, match="`drugs` is not used for a projection"):
        otl.tl.assess(projected, drugs=["a"])
    two = projected.copy()
    two.uns["other"] = dict(two.uns["plier"])
    with pytest.raises(KeyError, match="holds 2 transfers"):
        otl.tl.assess(two)
    with pytest.raises(TypeError, match="must be an AnnData"):
        otl.tl.assess("cells")
    assert "plier_assessment" not in projected.uns


def test_cell_cycle_is_found_by_the_names_of_genes(screen) -> None:
    cells, lines = screen[0].copy(), screen[1].copy()
    cells.uns["scdeal"]["params"] = dict(cells.uns["scdeal"]["params"])
    names = ["MKI67", "TOP2A", "PCNA", "MCM2", "CDK1", "CCNB2"]
    for adata in (cells, lines):
        adata.var_names = [*names, *adata.var_names[len(names) :]]
    otl.tl.assess(cells, lines)
    assert status(cells, "scdeal")["cell cycle"] in ("passed", "caution")


def test_what_the_verbs_have_found_counts_too() -> None:
    near = pd.DataFrame({"cluster": ["a", "b"], "own_line": ["", "A375"]})
    kinds = pd.DataFrame({"cluster": ["a", "b"], "foreign": [True, True]})
    novelty = np.array([0.1, 0.999, 0.999, np.nan])
    found = {check.name: check for check in known.of_screen({"nearest_lines": near, "kinds": kinds}, novelty, None)}
    assert {name: check.status for name, check in found.items()} == dict.fromkeys(
        ["own line", "foreign clusters", "far cells"], "caution"
    )
    assert "'A375'" in found["own line"].sentence
    masked = known.of_screen(
        {"nearest_lines": near[:1], "kinds": kinds}, novelty, np.array([True, False, False, False])
    )
    assert {check.name: check.status for check in masked} == {"own line": "passed", "far cells": "passed"}
    assert known.of_screen({}, None, None) == []
    (scaled,) = known.of_screen({"nearest_lines": near[:1], "params": {"scale": "zscore"}}, None, None)
    assert scaled.status == "not checked"
    back = {"baseline": "target_only", "fell_back": True, "gap": -0.1}
    found = {
        check.name: check
        for check in known.of_adaptation({"safeguard": back, "sources": pd.DataFrame({"weight": [0.0, 0.0]})})
    }
    assert (found["safeguard"].status, found["worth of sources"].status) == ("caution", "failed")
    good = known.of_adaptation(
        {"safeguard": back | {"fell_back": False}, "sources": pd.DataFrame({"weight": [0.0, 1.0]})}
    )
    assert {check.status for check in good} == {"passed"}
    assert known.of_adaptation({"safeguard": {"baseline": ""}}) == []


def test_a_source_that_an_adaptation_left_out_is_not_judged() -> None:
    """A third source contradicts the two others: it has no weight, so that it is no fault of the predictions."""
    adata, truth = otl.datasets.simulate_pathways(120, 150, rng=0)
    random = np.random.default_rng(0)
    adata.obs["cohort"] = np.repeat(["one", "two", "other", "new"], 30)
    sign = np.where(adata.obs["cohort"] == "other", -1, 1)
    adata.obs["score"] = sign * truth.scores[:, 0] + 0.2 * random.normal(size=120)
    adata.obs.loc[adata.obs["cohort"] == "new", "score"] = np.nan
    otl.tl.adapt(adata, domain_key="cohort", label_key="score", method="none")
    assert adata.uns["adapt"]["sources"].set_index("source")["weight_used"].to_dict() == {
        "one": 1,
        "two": 1,
        "other": 0,
    }
    otl.tl.assess(adata)
    assert adata.uns["adapt_assessment"]["drugs"]["n_lines"].tolist() == [60]
    assert status(adata, "adapt")["sources agree"] == "passed"
