import numpy as np
import pytest
from scipy.stats import rankdata, somersd, spearmanr
from sklearn.metrics import roc_auc_score

from omicstl.models.transfer.heads import BINARY, MULTILABEL, MULTINOMIAL, REGRESSION, Task
from omicstl.models.transfer.scores import (
    concordance,
    rank_correlation,
    rank_correlation_of_known,
    rank_skill,
    ranks,
    skill,
)


def task(kind, n):
    return Task(kind, np.array([f"c{i}" for i in range(n)], dtype=object))


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    score = rng.normal(size=60).round(1)  # ties
    return score, (score + rng.normal(size=60) > 0.5)


def test_ranks_and_their_skill(scores):
    score, positive = scores
    np.testing.assert_array_equal(ranks(score), rankdata(score))
    found = rank_skill(score, positive)
    assert found.value == pytest.approx(2 * roc_auc_score(positive, score) - 1)
    assert found.value == pytest.approx(somersd(positive, score).statistic)
    assert np.isnan(rank_skill(score, np.ones(60, bool)).value)


def test_the_error_is_the_spread_without_skill(scores):
    score, positive = scores
    rng = np.random.default_rng(1)
    drawn = [rank_skill(rng.normal(size=60), positive).value for _ in range(400)]
    assert rank_skill(score, positive).error == pytest.approx(np.std(drawn), rel=0.15)


def test_concordance_sees_level_and_spread():
    rng = np.random.default_rng(2)
    y = rng.normal(size=50)
    assert concordance(y, y).value == pytest.approx(1)
    for other in (y + 1, 2 * y):
        c = np.cov(other, y, ddof=0)
        expected = 2 * c[0, 1] / (c[0, 0] + c[1, 1] + (other.mean() - y.mean()) ** 2)
        assert concordance(other, y).value == pytest.approx(expected)
        assert expected < 0.9


def test_one_number_for_every_kind_of_label(scores):
    score, positive = scores
    y = positive.astype(float)[:, None]
    y[:5] = np.nan
    known = np.isfinite(y[:, 0])
    auc = 2 * roc_auc_score(y[known, 0], score[known]) - 1
    assert skill(task(BINARY, 2), score[:, None], y).value == pytest.approx(auc)
    called = score > 0
    informed = called[known & positive].mean() - called[known & ~positive].mean()
    assert skill(task(BINARY, 2), score[:, None], y, calls=True).value == pytest.approx((auc + informed) / 2)
    two = np.column_stack([score, -score])
    assert skill(task(MULTILABEL, 2), two, np.hstack([y, y])).value == pytest.approx(0, abs=1e-12)
    assert skill(task(MULTINOMIAL, 2), two, 1 - y).value == pytest.approx(auc)
    number = skill(task(REGRESSION, 1), score[:, None], y).value
    assert number == pytest.approx(np.corrcoef(score[known], y[known, 0])[0, 1])
    assert np.isnan(skill(task(REGRESSION, 1), score[:, None], np.full((60, 1), np.nan)).value)


def test_rank_correlation_is_spearman() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 5, (30, 4)).astype(float), random.normal(size=30)
    expected = [spearmanr(a[:, j], b)[0] for j in range(4)]
    np.testing.assert_allclose(rank_correlation(a, b), expected, atol=1e-12)
    assert np.isnan(rank_correlation(np.ones(30), b))


def test_rank_correlation_of_what_is_known() -> None:
    random = np.random.default_rng(2)
    score, y = random.normal(size=40), random.normal(size=40)
    y[:5] = np.nan
    assert rank_correlation_of_known(score, y) == pytest.approx(spearmanr(score[5:], y[5:])[0])
    assert np.isnan(rank_correlation_of_known(score[:6], y[:6]))
