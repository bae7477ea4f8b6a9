"""Distances of domains against scikit-learn, scipy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from omicstl.kernels import domain_distance as dd


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_coral_distance_by_hand(rng):
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(15, 3)) @ rng.normal(size=(3, 3)) + 4
    total = sum((np.cov(x.T)[i, j] - np.cov(y.T)[i, j]) ** 2 for i in range(3) for j in range(3))
    assert dd.coral_distance(x, y).value == pytest.approx(total / 36)
    assert dd.coral_distance(x, x + 10).value == pytest.approx(0, abs=1e-12)
    far = dd.coral_distance(rng.normal(size=(80, 3)), 3 * rng.normal(size=(80, 3)), n_permutations=99, generator=rng)
    assert far.p == 0.01
    moved = dd.coral_distance(rng.normal(size=(80, 3)), 9 + rng.normal(size=(80, 3)), n_permutations=99, generator=rng)
    assert moved.p > 0.02  # means play no part


def test_sliced_wasserstein_is_the_mean_of_scipys(rng):
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(33, 3)) + 0.5
    found = dd.sliced_wasserstein(x, y, generator=np.random.default_rng(1), n_projections=7, n_permutations=4)
    same = np.random.default_rng(1)
    axes = same.normal(size=(7, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    distance = lambda a, b: np.mean([wasserstein_distance(a @ axis, b @ axis) for axis in axes])
    assert found.value == pytest.approx(distance(x, y))
    pooled = np.concatenate([x, y])
    orders = [same.permutation(53) for _ in range(4)]
    np.testing.assert_allclose(found.null, [distance(pooled[o[:20]], pooled[o[20:]]) for o in orders])


def test_discriminant_is_that_of_scikit_learn(rng):
    train, test = rng.normal(size=(60, 4)), rng.normal(size=(20, 4))
    label = (rng.uniform(size=60) < 0.3).astype(float)
    score = dd._discriminant(train, label[:, None], test, 1e-10)[:, 0]
    lda = LinearDiscriminantAnalysis(priors=[0.5, 0.5]).fit(train, label)
    expected = lda.decision_function(test)
    assert np.corrcoef(score, expected)[0, 1] == pytest.approx(1, abs=1e-9)
    np.testing.assert_array_equal(score > 0, expected > 0)


def test_many_columns_and_few_are_one_formula(rng):
    train, test, label = (
        rng.normal(size=(30, 30)),
        rng.normal(size=(9, 30)),
        rng.integers(2, size=(30, 3)).astype(float),
    )
    wide = [np.column_stack([part, np.zeros((len(part), 5))]) for part in (train, test)]
    narrow = dd._discriminant(train, label, test, 1.0)
    ridge = np.sum((train - train.mean(axis=0)) ** 2)
    scale = ridge / 29 / (ridge / 29)
    np.testing.assert_allclose(dd._discriminant(wide[0], label, wide[1], scale), narrow, atol=1e-9)


def test_auroc_of_columns(rng):
    score, member = rng.normal(size=(25, 4)), rng.integers(2, size=(25, 4)).astype(float)
    expected = [roc_auc_score(member[:, i], score[:, i]) for i in range(4)]
    np.testing.assert_allclose(dd._auroc(score, member), expected)
    assert np.isnan(dd._auroc(score[:, :1], np.ones((25, 1)))).all()


def by_scikit_learn(x, y, seed, train, n_windows, n_repeats):
    """Error and AUROC of the same splits: ridge regression on the label, the threshold by loops over pairs of rows."""
    pooled = StandardScaler().fit_transform(np.concatenate([x, y]))
    n, generator = len(pooled), np.random.default_rng(seed)
    label = np.repeat([1, 0], [len(x), len(y)])
    wrong, areas = [[] for _ in range(n)], []
    for _ in range(n_repeats):
        place = generator.permutation(n)[dd._twins(pooled)]
        for window in range(n_windows):
            start = window * n // n_windows
            learns = np.isin(place, [(start + i) % n for i in range(round(train * n))])
            z, c = pooled[learns], label[learns]
            alpha = np.sum((z - z.mean(axis=0)) ** 2) / min(len(z) - 1, z.shape[1])
            weights = Ridge(alpha=alpha).fit(z, c).coef_
            inverse = np.linalg.inv((z - z.mean(axis=0)).T @ (z - z.mean(axis=0)) + alpha * np.eye(z.shape[1]))
            z_own = z - z.mean(axis=0)
            square = {}
            for k in (0, 1):
                rows = z_own[c == k]
                pairs = [rows[i] @ inverse @ rows[j] for i in range(len(rows)) for j in range(len(rows)) if i != j]
                square[k] = np.mean(pairs)
            scale = len(z) * np.mean(c) * (1 - np.mean(c))
            score = (pooled[~learns] - z.mean(axis=0)) @ weights - scale * (square[1] - square[0]) / 2
            for i, call in zip(np.flatnonzero(~learns), score > 0, strict=True):
                wrong[i].append(call != label[i])
            areas.append(roc_auc_score(label[~learns], score))
    of_row = np.array([np.mean(calls) for calls in wrong])
    return (of_row[label == 1].mean() + of_row[label == 0].mean()) / 2, np.mean(areas)


@pytest.mark.parametrize(("train", "n_windows"), [(0.25, 4), (0.8, 5)])
@pytest.mark.parametrize("columns", [3, 90])
def test_splits_and_errors_are_those_of_scikit_learn(rng, train, n_windows, columns):
    x, y = rng.normal(size=(24, columns)) + 0.3, rng.normal(size=(36, columns))
    found = dd.tell_apart(x, y, generator=np.random.default_rng(5), train=train, n_repeats=2)
    error, auroc = by_scikit_learn(x, y, 5, train, n_windows, 2)
    assert found.error == pytest.approx(error, abs=1e-12)
    assert found.auroc == pytest.approx(auroc, abs=1e-12)


def proxy_a(x, y, seed=0, **options):
    return 2 * (1 - 2 * dd.tell_apart(x, y, generator=np.random.default_rng(seed), **options).error)


def test_samples_of_one_distribution_are_not_told_apart():
    """100 rows each, 1,000 columns: on the training rows it is 2.0. The standard error is 2 * 1.13 * sqrt(.25 / 200) = .08."""
    values = [proxy_a(*np.random.default_rng(seed).normal(size=(2, 100, 1000)), seed) for seed in range(40)]
    assert np.mean(np.abs(values) <= 0.2) >= 0.95
    assert abs(np.mean(values)) < 0.05
    assert np.std(values) == pytest.approx(0.08, abs=0.025)


def test_the_same_rows_in_both_samples_are_at_no_distance(rng):
    """A twin that is learnt from would tell its row wrongly: -1.6 for these, if splits did not know of twins."""
    for columns in (4, 1000):
        x = rng.normal(size=(100, columns))
        assert proxy_a(x, x) == pytest.approx(0, abs=1e-12)
        assert proxy_a(x, x[rng.permutation(100)]) == pytest.approx(0, abs=1e-12)
    twins = dd._twins(np.repeat(rng.normal(size=(5, 3)), 4, axis=0))
    np.testing.assert_array_equal(twins == twins[:, None], np.kron(np.eye(5), np.ones((4, 4))) > 0)
    assert np.unique(dd._twins(rng.normal(size=(500, 1)))).size == 500
    constant = dd.tell_apart(np.ones((12, 3)), np.ones((20, 3)), generator=rng, n_permutations=3)
    assert (constant.error, constant.auroc) == (0.5, 0.5)
    np.testing.assert_array_equal(constant.null_error, 0.5)


def test_the_larger_sample_is_not_favoured():
    """With the squared means as they are, rows of both samples are called to be of the larger one."""
    values = [
        proxy_a(rng.normal(size=(30, 300)), rng.normal(size=(150, 300)), n_repeats=5)
        for rng in map(np.random.default_rng, range(30))
    ]
    assert abs(np.mean(values)) < 0.05
    score = dd._discriminant(
        np.random.default_rng(0).normal(size=(180, 300)),
        np.repeat([1.0, 0.0], [30, 150])[:, None],
        np.random.default_rng(1).normal(size=(400, 300)),
        1.0,
    )
    assert 0.35 < np.mean(score > 0) < 0.65


def test_a_difference_is_found_as_surely_as_before():
    """Half a standard deviation in each of 20 columns: 1.47 at best, 1.31 here, and 1.43 from four fifths of the rows."""
    values, small = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        values.append(proxy_a(rng.normal(size=(100, 20)) + 0.5, rng.normal(size=(100, 20)), seed))
        found = dd.tell_apart(
            rng.normal(size=(100, 20)) + 0.18,
            rng.normal(size=(100, 20)),
            generator=rng,
            n_permutations=39,
            n_repeats=10,
        )
        small.append((1 + np.sum(found.null_error <= found.error + 1e-12)) / 40)
    assert np.mean(values) == pytest.approx(1.31, abs=0.1)
    assert np.mean(np.array(small) <= 0.05) > 0.7


def test_permutation_test_is_exact_and_finds(rng):
    p = []
    for seed in range(80):
        own = np.random.default_rng(seed)
        x, y = own.normal(size=(20, 5)), own.normal(size=(40, 5))
        found = dd.tell_apart(x, y, generator=own, n_repeats=1, n_permutations=39)
        p.append((1 + np.sum(found.null_error <= found.error)) / 40)
    assert np.mean(np.array(p) <= 0.1) < 0.2
    found = dd.tell_apart(rng.normal(size=(60, 5)), rng.normal(size=(90, 5)) + 0.8, generator=rng, n_permutations=99)
    assert found.auroc > 0.8
    assert found.null_auroc.max() < found.auroc
    assert found.error < found.null_error.min()


def test_squares_see_spread(rng):
    x, y = rng.normal(size=(150, 4)), 2.5 * rng.normal(size=(150, 4))
    assert abs(dd.tell_apart(x, y, generator=rng).auroc - 0.5) < 0.15
    both = dd.with_squares(np.concatenate([x, y]))
    np.testing.assert_allclose(both[:, :4], StandardScaler().fit_transform(np.concatenate([x, y])))
    assert dd.tell_apart(both[:150], both[150:], generator=rng).auroc > 0.9


def test_constant_columns_do_not_matter(rng):
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 3)) + 1
    plain = dd.tell_apart(x, y, generator=np.random.default_rng(0)).auroc
    more = [np.column_stack([part, np.full(30, 7.0)]) for part in (x, y)]
    assert dd.tell_apart(*more, generator=np.random.default_rng(0)).auroc == pytest.approx(plain, abs=0.02)
