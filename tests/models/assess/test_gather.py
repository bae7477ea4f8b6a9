"""Each failure is seen by the check that is there for it, and what cannot be seen is not claimed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import omicstl as otl
from omicstl._core.random import streams
from omicstl.models.assess import gather, target
from omicstl.models.transfer.screen import Lines

ASIDE = {"shared genes"}  # 600 genes, so that tests are quick


@cache
def simulated():
    cells, lines, truth = otl.datasets.simulate_drug_response(250, 250, 600, rng=3)
    counts = cells.X.toarray()
    raw = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    y = -lines.obs["ln_ic50"].to_numpy()[:, None]
    lineage, study = (lines.obs[name].astype(str).to_numpy() for name in ("tissue", "laboratory"))
    source = Lines(
        np.asarray(lines.X),
        y,
        np.array(["d"], dtype=object),
        np.zeros(1, bool),
        np.asarray(lines.obs_names),
        lineage,
        study,
    )
    return source, raw, truth.cell_score[:, 0]


def status(found: gather.Evidence) -> dict[str, str]:
    return {check.name: check.status for check in found.verdict.checks}


def bad(found: gather.Evidence) -> set[str]:
    return {name for name, one in status(found).items() if one in ("caution", "failed")} - ASIDE


def test_a_good_case_passes_every_check() -> None:
    lines, raw, oracle = simulated()
    found = gather.gather(lines, raw, 0, streams(0), confounders={"depth": raw.sum(axis=1)})
    assert bad(found) == set()
    assert status(found)["signal within lineages"] == status(found)["sources agree"] == "passed"
    score = next(row.score for row in found.baselines if row.name == "ridge")
    assert np.corrcoef(score, oracle)[0, 1] > 0.7
    assert 0.5 < found.verdict.score <= 1


def test_same_seed_same_answer() -> None:
    lines, raw, _ = simulated()
    one, two = (gather.gather(lines, raw, 0, streams(7)) for _ in range(2))
    np.testing.assert_array_equal(
        [check.value for check in one.verdict.checks], [check.value for check in two.verdict.checks]
    )
    assert one.verdict.word == two.verdict.word


def test_genes_permuted() -> None:
    lines, raw, _ = simulated()
    order = np.random.default_rng(0).permutation(raw.shape[1])
    found = gather.gather(lines, raw[:, order], 0, streams(0))
    assert found.verdict.word == "do not use"
    seen = status(found)
    assert {seen[name] for name in ("gene identity", "shared programmes", "programme in the cells")} == {"failed"}
    scaled = status(gather.gather(lines, raw[:, order], 0, streams(0), scaled=True))
    assert scaled["gene identity"] == scaled["kind of the cells"] == "not checked"
    assert scaled["shared programmes"] == "failed", "seen without levels too"


def test_no_signal_in_the_lines() -> None:
    lines, raw, _ = simulated()
    random = np.random.default_rng(1)
    found = gather.gather(lines._replace(y=random.permutation(lines.y)), raw, 0, streams(0))
    assert found.verdict.word == "do not use"
    assert status(found)["signal within lineages"] == "failed"
    assert found.verdict.reasons[0].startswith("No signal in the source")
    assert found.verdict.score < 0.2


def test_lineage_not_drug() -> None:
    lines, raw, _ = simulated()
    random = np.random.default_rng(1)
    codes = np.unique(lines.lineage, return_inverse=True)[1]
    y = random.normal(0, 2, codes.max() + 1)[codes] + random.normal(0, 0.5, codes.size)
    found = gather.gather(lines._replace(y=y[:, None]), raw, 0, streams(0))
    assert found.verdict.word == "do not use"
    assert found.verdict.reasons[0].startswith("Lineage, not drug")


def test_sources_that_disagree() -> None:
    lines, raw, _ = simulated()
    turned = np.where(lines.study == lines.study[0], -1, 1)[:, None]
    found = gather.gather(lines._replace(y=(lines.y - lines.y.mean()) * turned), raw, 0, streams(0))
    assert found.verdict.word == "do not use"
    assert status(found)["sources agree"] == "failed"
    assert any(reason.startswith("Sources disagree") for reason in found.verdict.reasons)


def test_few_lines() -> None:
    lines, raw, _ = simulated()
    y = lines.y.copy()
    y[25:] = np.nan
    found = gather.gather(lines._replace(y=y), raw, 0, streams(0))
    assert found.verdict.word == "do not use"
    assert status(found)["number of lines"] == "failed"
    y[4:] = np.nan
    hopeless = gather.gather(lines._replace(y=y), raw, 0, streams(0))
    assert hopeless.verdict.word == "do not use"
    same = gather.gather(lines._replace(y=np.ones_like(lines.y)), raw, 0, streams(0))
    assert any("the same in all lines" in reason for reason in same.verdict.reasons)


def test_the_programme_is_not_in_the_cells() -> None:
    """Only the genes of the response are mixed up: the rest is shared as before."""
    lines, raw, _ = simulated()
    score = lines.x - lines.x.mean(axis=0)
    strength = np.abs((lines.y[:, 0] - lines.y.mean()) @ score) / np.linalg.norm(score, axis=0)
    top = np.argsort(-strength)[:300]
    mixed = raw.copy()
    random = np.random.default_rng(0)
    for gene in top:
        mixed[:, gene] = random.permutation(raw[:, gene])
    found = gather.gather(lines, mixed, 0, streams(0))
    assert status(found)["gene identity"] == "passed"
    assert found.verdict.score < 0.75 * gather.gather(lines, raw, 0, streams(0)).verdict.score


def test_without_lineages_tissue_cannot_be_told_from_drug() -> None:
    lines, raw, _ = simulated()
    found = gather.gather(lines._replace(lineage=None, study=None), raw, 0, streams(0))
    assert found.verdict.word == "caution"
    seen = status(found)
    assert {seen[name] for name in ("signal within lineages", "sources agree", "lineage, not drug")} == {"not checked"}
    noise = lines._replace(lineage=None, study=None, y=np.random.default_rng(0).permutation(lines.y))
    assert status(gather.gather(noise, raw, 0, streams(0)))["signal in the source"] == "failed"


def test_a_relation_that_turns_in_the_cells_alone_is_not_seen() -> None:
    """No label-free check can: the report must not claim more. A flipped score is as supported as the right one."""
    lines, raw, oracle = simulated()
    found = gather.gather(lines, raw, 0, streams(0))
    turned = gather.gather(lines._replace(y=-lines.y), raw, 0, streams(0))
    assert bad(found) == bad(turned) == set()


def test_confounders_are_named() -> None:
    lines, raw, _ = simulated()
    random = np.random.default_rng(0)
    score = random.normal(size=len(raw))
    batch = np.where(score > 0, "one", "two").astype(object)
    given = {
        "depth": score + 0.1,
        "batch": batch,
        "cell cycle": random.normal(size=len(raw)),
        "genes seen": np.ones(len(raw)),
    }
    found = gather.gather(lines, raw, 0, streams(0), score=score, confounders=given)
    seen = status(found)
    assert (seen["depth"], seen["batch"], seen["cell cycle"]) == ("caution", "caution", "passed")
    assert seen["genes seen"] == "not checked"
    assert seen["agreement with ridge"] == "caution"


def test_many_small_batches_are_no_confounder_by_chance() -> None:
    random = np.random.default_rng(1)
    score, batch = random.normal(size=200), np.repeat([f"batch {i}" for i in range(40)], 5).astype(object)
    value = lambda score: target.confounding(score, {"batch": batch}, random.normal(size=200))[-1].value
    chance = np.mean([value(random.normal(size=200)) for _ in range(50)])
    assert chance < 0.2  # without the correction the square root of 39 / 199, .44
    follows = score + 3 * random.normal(size=40).repeat(5)
    assert value(follows) == pytest.approx(np.sqrt(9 / 10), abs=0.08)
    alone = np.arange(200).astype(str).astype(object)
    assert target.confounding(score, {"batch": alone}, score)[-1].status == "not checked"


def test_general_sensitivity() -> None:
    lines, raw, _ = simulated()
    random = np.random.default_rng(0)
    common = lines.y + 0.3 * random.normal(size=lines.y.shape)
    alike = lines._replace(
        y=np.hstack([common + 0.3 * random.normal(size=lines.y.shape) for _ in range(7)]), binary=np.zeros(7, bool)
    )
    assert status(gather.gather(alike, raw, 0, streams(0)))["beats general sensitivity"] == "caution"
    others = random.normal(size=(len(lines.y), 6))
    apart = lines._replace(y=np.hstack([lines.y, others]), binary=np.zeros(7, bool))
    found = gather.gather(apart, raw, 0, streams(0))
    assert status(found)["beats general sensitivity"] == "passed"


def test_classes_and_the_full_level(monkeypatch) -> None:
    lines, raw, oracle = simulated()
    monkeypatch.setitem(gather.PERMUTATIONS, "full", 120)
    monkeypatch.setitem(gather.PAIRS, "full", 12)
    monkeypatch.setitem(gather.VECTORS, "full", 30)
    classes = (lines.y > np.quantile(lines.y, 0.7)).astype(float)
    found = gather.gather(lines._replace(y=classes, binary=np.ones(1, bool)), raw[:120], 0, streams(0), level="full")
    rows = {row.name: row for row in found.baselines}
    assert rows["boosting"].source_rho > 0.3
    for name in ("logistic regression", "boosting"):
        assert np.corrcoef(rows[name].score, oracle[:120])[0, 1] > 0.4, name
    assert rows["unaligned network"].score is None
    assert max(null.n for null in found.nulls) == 120


def test_cells_of_another_kind_lie_off_the_lines() -> None:
    lines, raw, _ = simulated()
    space = gather.build(lines, raw)

    near = target.novelty(lines, space, raw, False)
    moved = raw + 40 * space.basis[:, 0] if space.kept.all() else None
    assert moved is not None
    far = target.novelty(lines, space, moved.astype(np.float32), False)
    assert near.status == "passed"
    assert far.value > near.value


@pytest.mark.parametrize("level", ["fast", "full"])
def test_a_sample_of_the_cells(level: str) -> None:
    from omicstl.models.transfer.screen import Cells

    class Rows:
        n_rows, n_cols = 9000, 3

    cells = Cells(Rows())  # type: ignore[arg-type]
    index = gather.sample(cells, streams(0), level)
    assert index.size == gather.MOST_CELLS[level] == np.unique(index).size
    assert gather.sample(cells, streams(0), level, np.arange(50)).tolist() == list(range(50))
