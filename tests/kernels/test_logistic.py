import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from omicstl.kernels.logistic import expit, log_loss, logistic_path, multinomial


def data(n=120, p=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    y = (x @ rng.normal(size=p) + rng.logistic(size=n) + 0.7 > 0).astype(float)
    return x, y, rng.uniform(0.3, 2, n), rng.integers(0, 12, n)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_penalty_has_the_solution_of_scikit_learn(weighted):
    x, y, w, _ = data()
    w = w if weighted else np.ones(len(y))
    grid = np.array([0.01, 1.0, 100.0])
    found = logistic_path(x, y, grid, weights=w)
    assert found.converged.all()
    for i, penalty in enumerate(grid):
        other = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000).fit(x, y, sample_weight=w)
        np.testing.assert_allclose(found.coefficients[i], other.coef_[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.intercept[i], other.intercept_[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_left_out_is_predicted_nearly_as_refits_do(grouped):
    x, y, w, groups = data()
    out = groups if grouped else np.arange(len(y))
    found = logistic_path(x, y, np.array([3.0]), weights=w, groups=groups if grouped else None)
    expected = np.empty(len(y))
    for group in np.unique(out):
        rest, held = out != group, out == group
        other = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=5000).fit(x[rest], y[rest], sample_weight=w[rest])
        expected[held] = other.decision_function(x[held])
    inside = x @ found.coefficients[0] + found.intercept[0]
    gap = np.abs(found.left_out[0] - expected).max()
    assert gap < 0.1 * np.abs(inside - expected).max()  # a tenth of what there is to correct
    assert found.risk[0] == pytest.approx(w @ log_loss(expected, y) / w.sum(), rel=5e-3)


def test_separable_classes_and_far_starts_converge():
    x = np.linspace(-1, 1, 20)[:, None] * 50
    y = (x[:, 0] > 0).astype(float)
    found = logistic_path(x, y, np.array([1e-3, 1e3]))
    assert found.converged.all()
    assert (expit(x @ found.coefficients[0] + found.intercept[0]).round() == y).all()


def test_several_classes_have_the_solution_of_scikit_learn():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 5))
    y = (x @ rng.normal(size=(5, 3)) + rng.gumbel(size=(150, 3))).argmax(axis=1)
    w = rng.uniform(0.5, 2, 150)
    found = multinomial(x, y, 3, 2.0, weights=w)
    other = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(x, y, sample_weight=w)
    assert found.converged
    np.testing.assert_allclose(found.coefficients.T, other.coef_, atol=1e-4)
    np.testing.assert_allclose(found.intercept, other.intercept_ - other.intercept_.mean(), atol=1e-4)


@pytest.mark.parametrize(("y", "penalty", "match"), [(0.0, 1.0, "class 0 and in class 1"), (None, 0.0, "penalties")])
def test_refused(y, penalty, match):
    x, truth, _, _ = data()
    with pytest.raises(ValueError, match=match):
        logistic_path(x, truth if y is None else np.full(len(x), y), np.array([penalty]))


def test_the_path_ends_where_the_risk_has_passed_its_lowest_point():
    x, y, _, _ = data(60, 30)
    grid = np.geomspace(1e-4, 1e4, 17)
    whole, short = (logistic_path(x, y, grid, patience=p) for p in (None, 2))
    reached = np.isfinite(short.risk)
    assert 0 < reached.sum() < 17
    np.testing.assert_array_equal(short.risk[reached], whole.risk[reached])
    assert short.risk.argmin() == whole.risk.argmin()
    assert not short.coefficients[~reached].any()
