"""Paired gaps against scikit-learn and scipy on rows that are really repeated, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from omicstl.kernels import paired_bootstrap as pb


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def by_hand(name, score, truth):
    """A measure of scikit-learn or scipy, larger is better."""
    table = np.column_stack([1 - score, score]) if score.ndim == 1 else score
    called = (score > 0.5).astype(int) if score.ndim == 1 else score.argmax(axis=1)
    if name == "auroc" and score.ndim == 2:
        return np.mean([metrics.roc_auc_score(truth == c, score[:, c]) for c in range(score.shape[1])])
    return {
        "auroc": lambda: metrics.roc_auc_score(truth, score),
        "accuracy": lambda: metrics.accuracy_score(truth, called),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(truth, called),
        "log_score": lambda: -metrics.log_loss(truth, table),
        "brier": lambda: -np.mean(np.sum((table - np.eye(table.shape[1])[truth]) ** 2, axis=1)),
        "mse": lambda: -metrics.mean_squared_error(truth, score),
        "r2": lambda: metrics.r2_score(truth, score),
        "pearson": lambda: stats.pearsonr(truth, score).statistic,
        "spearman": lambda: stats.spearmanr(truth, score).statistic,
    }[name]()


@pytest.mark.parametrize("name", sorted(pb.MEASURES))
def test_counts_are_repeated_rows(name, rng):
    truth = rng.integers(2, size=40) if name in pb.OF_CLASSES else np.round(rng.normal(size=40), 1)
    score = np.round(np.clip(0.3 * truth + rng.uniform(0, 0.7, 40), 0.05, 0.95), 1)  # with ties
    counts = rng.integers(0, 4, size=(6, 40)).astype(float)
    found = pb.MEASURES[name](score, truth, counts)
    for row, value in zip(counts.astype(int), found, strict=True):
        assert value == pytest.approx(by_hand(name, np.repeat(score, row), np.repeat(truth, row)), abs=1e-12)


@pytest.mark.parametrize("name", sorted(pb.OF_CLASSES))
def test_three_classes(name, rng):
    truth = rng.integers(3, size=60)
    score = rng.dirichlet(np.ones(3), size=60) * 0.5 + 0.5 * np.eye(3)[truth]
    found = pb.MEASURES[name](score, truth, np.ones((1, 60)))[0]
    assert found == pytest.approx(by_hand(name, score, truth), abs=1e-12)


def test_resamples_keep_strata_and_groups(rng):
    strata = np.repeat([0, 1], [7, 13])
    counts = pb.resampled(20, 50, rng, strata=strata)
    assert (counts[:, :7].sum(axis=1) == 7).all()
    assert (counts[:, 7:].sum(axis=1) == 13).all()
    assert counts.std() > 0
    groups = np.array(["a", "b", "c", "d", "e"])[np.arange(20) % 5]
    counts = pb.resampled(20, 50, rng, groups=groups)
    for name in "abcde":
        assert (np.ptp(counts[:, groups == name], axis=1) == 0).all()
    assert (counts.sum(axis=1) == 20).all()
    mixed = pb.resampled(20, 50, rng, strata=strata, groups=np.repeat(np.arange(10), 2))  # one pair holds both classes
    assert ((mixed[:, 6] == 1) & (mixed[:, 7] == 1)).all()


@pytest.mark.parametrize("measure", ["auroc", "mse", "spearman"])
def test_equal_predictions_have_no_gap(measure, rng):
    truth = rng.integers(2, size=30)
    score = rng.uniform(size=30)
    assert pb.paired_gap(score, score, truth, measure, generator=rng) == (0.0, 0.0, 0.0)


def test_the_interval_is_that_of_a_plain_loop(rng):
    truth = rng.integers(2, size=80)
    a, b = truth + rng.normal(size=80), 0.4 * truth + rng.normal(size=80)
    found = pb.paired_gap(a, b, truth, "auroc", n_resamples=4000, generator=rng)
    gaps = []
    auc = lambda score, take: np.mean(score[take[1]][:, None] > score[take[0]][None, :])
    for _ in range(2000):
        take = [rng.choice(np.flatnonzero(truth == c), (truth == c).sum()) for c in (0, 1)]
        gaps.append(auc(a, take) - auc(b, take))
    assert found.mean == pytest.approx(metrics.roc_auc_score(truth, a) - metrics.roc_auc_score(truth, b))
    tail = stats.norm.cdf(stats.t.ppf(0.025, 79) * np.sqrt(80 / 79))
    assert [found.low, found.high] == pytest.approx(np.quantile(gaps, [tail, 1 - tail]), abs=0.015)


def test_blocks_change_nothing_but_the_draws(rng, monkeypatch):
    truth, a = rng.normal(size=(2, 50))
    b = truth + rng.normal(size=50)
    whole = pb.paired_gap(a, b, truth, "mse", n_resamples=2000, generator=np.random.default_rng(1))
    monkeypatch.setattr(pb, "CELLS", 5000)
    parts = pb.paired_gap(a, b, truth, "mse", n_resamples=2000, generator=np.random.default_rng(1))
    assert whole == pytest.approx(parts, abs=1e-12)


def test_intervals_hold_the_truth_and_groups_matter():
    """95 % intervals of a gap that is 0: rows that come in groups of ten need `groups`."""
    covered = {"rows": 0, "groups": 0}
    n_cases = 200
    for seed in range(n_cases):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(30), 10)
        error_a, error_b = rng.normal(size=(2, 30)).repeat(10, axis=1) + 0.3 * rng.normal(size=(2, 300))
        truth = np.zeros(300)
        for name, groups in (("rows", None), ("groups", patient)):
            found = pb.paired_gap(error_a, error_b, truth, "mse", groups, 300, generator=rng)
            covered[name] += found.low <= 0 <= found.high
    assert covered["groups"] >= 0.88 * n_cases  # squared errors of 30 groups: heavy tails
    assert covered["rows"] < 0.6 * n_cases


def test_too_few_groups_for_an_interval(rng):
    truth = np.repeat([0, 1], 20)
    groups = np.repeat([0, 1], 20)
    found = pb.paired_gap(
        rng.uniform(size=40), rng.uniform(size=40), truth, "auroc", groups, 200, generator=rng, strata=groups * 0
    )
    assert np.isfinite(found.mean)
    found = pb.paired_gap(np.full(40, 0.2), np.full(40, 0.3), np.ones(40, dtype=int), "auroc", generator=rng)
    assert np.isnan(found).all()
