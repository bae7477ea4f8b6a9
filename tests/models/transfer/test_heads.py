import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from omicstl.models.transfer import heads
from omicstl.models.transfer.heads import BINARY, MULTILABEL, MULTINOMIAL, REGRESSION, Task, fit_head


def data(n=90, p=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    eta = x @ rng.normal(size=(p, 3)) + rng.gumbel(size=(n, 3))
    return x, eta


def task(kind, n=2):
    return Task(kind, np.array([f"c{i}" for i in range(n)], dtype=object))


def test_numbers_with_gaps_and_weights_are_a_ridge_at_the_chosen_penalty():
    x, y = data()
    y[::4, 1] = np.nan
    w = np.linspace(0, 2, 90)
    head = fit_head(task(REGRESSION, 3), x, y, weights=w)
    assert np.isnan(head.left_out[0]).all()  # no weight
    for j in range(3):
        rows = np.isfinite(y[:, j]) & (w > 0)
        other = Ridge(alpha=head.penalty[j]).fit(x[rows], y[rows, j], sample_weight=(w / w[w > 0].mean())[rows])
        np.testing.assert_allclose(head.decide(x)[:, j], other.predict(x), atol=1e-6)


def test_two_classes_and_balance():
    x, eta = data()
    y = (eta[:, :1] > 2.0).astype(float)
    y[5] = np.nan
    plain, balanced = (fit_head(task(BINARY), x, y, balanced=b) for b in (False, True))
    known = np.isfinite(y[:, 0])
    for head, weight in ((plain, None), (balanced, "balanced")):
        other = LogisticRegression(C=1 / head.penalty[0], class_weight=weight, tol=1e-10, max_iter=5000)
        other.fit(x[known], y[known, 0])
        np.testing.assert_allclose(head.decide(x)[:, 0], other.decision_function(x), atol=1e-4)
    p = heads.probabilities(task(BINARY), plain.decide(x))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert p[known, 1].mean() == pytest.approx(y[known].mean(), abs=1e-5)
    assert heads.probabilities(task(BINARY), balanced.decide(x))[known, 1].mean() > p[known, 1].mean()


def test_several_classes():
    x, eta = data(150)
    y = eta.argmax(axis=1).astype(float)[:, None]
    head = fit_head(task(MULTINOMIAL, 3), x, y)
    other = LogisticRegression(C=1 / head.penalty[0], tol=1e-10, max_iter=5000).fit(x, y[:, 0])
    found = heads.probabilities(task(MULTINOMIAL, 3), head.decide(x))
    np.testing.assert_allclose(found, other.predict_proba(x), atol=1e-4)
    assert (head.left_out.argmax(axis=1) == y[:, 0]).mean() > 0.5
    without = fit_head(task(MULTINOMIAL, 3), x, y, outside=False)
    assert np.isnan(without.left_out).all()
    np.testing.assert_array_equal(without.coefficients, head.coefficients)


def test_labels_that_do_not_exclude_each_other_are_each_for_itself():
    x, eta = data()
    y = (eta > 0.5).astype(float)
    y[::3, 0] = np.nan
    y[:, 2] = 1.0  # no row without it
    both = fit_head(task(MULTILABEL, 3), x, y)
    rows = np.isfinite(y[:, 0])
    alone = fit_head(task(BINARY), x[rows], y[rows, :1])
    assert both.penalty[0] == pytest.approx(alone.penalty[0], rel=1.0)
    assert np.corrcoef(both.decide(x)[:, 0], alone.decide(x)[:, 0])[0, 1] > 0.99
    assert not both.coefficients[:, 2].any()
    assert heads.probabilities(task(MULTILABEL, 3), both.decide(x))[:, 2].min() > 0.98


def test_left_out_groups_choose_the_penalty():
    """A column that tells groups apart, and labels that go with the group: rows left out fool, groups do not."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 10)
    x = np.column_stack([np.eye(12)[groups] * 3, rng.normal(size=(120, 5))])
    y = (rng.normal(size=12)[groups] > 0).astype(float)[:, None]
    by_row = fit_head(task(BINARY), x, y)
    by_group = fit_head(task(BINARY), x, y, groups=groups)
    assert by_group.penalty[0] > 10 * by_row.penalty[0]


def test_folds_are_whole_groups_or_even_in_classes():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    fold = heads.folds(None, groups, 3, generator)
    assert all(np.unique(fold[groups == g]).size == 1 for g in range(9))
    assert np.ptp(np.bincount(fold)) <= 3
    classes = np.repeat([0, 1], [40, 10])
    fold = heads.folds(classes, None, 5, generator)
    np.testing.assert_array_equal(np.bincount(fold[classes == 1]), [2] * 5)


def test_nothing_to_fit():
    x, y = data()
    with pytest.raises(ValueError, match="no row has a label"):
        fit_head(task(REGRESSION, 3), x, np.full_like(y, np.nan))


@pytest.mark.parametrize("kind", [BINARY, MULTINOMIAL])
def test_more_columns_than_rows_are_solved_among_the_rows(kind):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(40, 120)) + 1
    y = (x[:, :3] + rng.normal(size=(40, 3))).argmax(axis=1).astype(float)[:, None]
    y = y if kind == MULTINOMIAL else (y == 0).astype(float)
    head = fit_head(task(kind, 3 if kind == MULTINOMIAL else 2), x, y)
    other = LogisticRegression(C=1 / head.penalty[0], tol=1e-10, max_iter=5000).fit(x, y[:, 0])
    expected = other.decision_function(x)
    found = head.decide(x)[:, 0] if kind == BINARY else head.decide(x)
    if kind == MULTINOMIAL:
        expected = expected - expected.mean(axis=1, keepdims=True)
        found = found - found.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)
