import numpy as np
import pytest

from omicstl.kernels.masked_ridge import masked_ridge, patterns, penalty_grid


def refit(x, y, w, penalty):
    """Normal equations with an explicit column for the intercept."""
    a = np.column_stack([np.ones(len(x)), x])
    ridge = penalty * np.eye(a.shape[1])
    ridge[0, 0] = 0
    solution = np.linalg.lstsq((a * w[:, None]).T @ a + ridge, (a * w[:, None]).T @ y, rcond=None)[0]
    return solution[0], solution[1:]


def data(n=30, p=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) + 5
    y = x @ rng.normal(size=(p, d)) + rng.normal(size=(n, d)) + 3
    y[rng.random(y.shape) < 0.2] = np.nan
    y[:, 1] = np.where(np.isnan(y[:, 0]), np.nan, y[:, 3])
    y[np.isnan(y[:, 1]), 1] = np.nan
    return x, y, rng.integers(0, 5, n), rng.uniform(0.2, 2, n)


@pytest.mark.parametrize("p", [6, 25, 80])
@pytest.mark.parametrize("weighted", [False, True])
def test_coefficients_are_those_of_the_normal_equations(p, weighted):
    x, y, groups, w = data(p=p)
    w = w if weighted else np.ones(len(x))
    fit = masked_ridge(x, y, np.array([0.3, 3.0, 30.0]), groups=groups, weights=w)
    for j in range(y.shape[1]):
        rows = np.isfinite(y[:, j])
        intercept, b = refit(x[rows], y[rows, j], w[rows], fit.penalty[j])
        np.testing.assert_allclose(fit.coefficients[:, j], b, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(fit.intercept[j], intercept, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [6, 80])
@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_left_out_is_predicted_as_refits_do(p, grouped):
    x, y, groups, w = data(p=p)
    grid = np.array([0.3, 30.0])
    fit = masked_ridge(x, y, grid, groups=groups if grouped else None, weights=w)
    out = groups if grouped else np.arange(len(x))
    for number, penalty in enumerate(grid):
        for j in range(y.shape[1]):
            seen = np.isfinite(y[:, j])
            for group in np.unique(out):
                rest, held = seen & (out != group), seen & (out == group)
                intercept, b = refit(x[rest], y[rest, j], w[rest], penalty)
                np.testing.assert_allclose(fit.path[number, held, j], x[held] @ b + intercept, rtol=1e-5, atol=1e-5)
    assert np.array_equal(np.isfinite(fit.left_out), np.isfinite(y))


def test_the_penalty_has_the_least_error_of_what_is_left_out():
    x, y, groups, _ = data(n=60, p=10)
    grid = penalty_grid(x)
    fit = masked_ridge(x, y, grid, groups=groups)
    error = np.nanmean((fit.path - y) ** 2, axis=1)
    np.testing.assert_allclose(fit.risk, error)
    np.testing.assert_array_equal(fit.penalty, grid[error.argmin(axis=0)])
    shared = masked_ridge(x, y, grid, groups=groups, shared=True)
    best = (error / np.nanvar(y, axis=0)).mean(axis=1).argmin()
    np.testing.assert_array_equal(shared.penalty, np.full(4, grid[best]))
    np.testing.assert_array_equal(shared.left_out, shared.path[best])


def test_one_decomposition_serves_outputs_with_the_same_rows():
    seen = np.array([[1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1]], bool)
    found = [(rows.tolist(), outputs.tolist()) for rows, outputs in patterns(seen)]
    assert sorted(found) == [([0, 2], [0, 1, 3]), ([1, 2], [2])]


def test_nothing_to_learn_from():
    x, y, groups, _ = data()
    y[:, 0] = np.nan
    y[1:, 1] = np.nan
    y[:, 2] = np.where(groups == 0, y[:, 2], np.nan)
    fit = masked_ridge(x, y, np.array([1.0]), groups=groups)
    assert np.isnan(fit.coefficients[:, :2]).all()
    assert np.isnan(fit.penalty[:2]).all()
    assert np.isfinite(fit.coefficients[:, 2]).all()
    assert np.isnan(fit.left_out[:, 2]).all()  # one group holds all that is known
    assert np.isfinite(fit.coefficients[:, 3]).all()


def test_noise_is_shrunk_and_a_constant_output_is_its_constant():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 40))
    y = np.column_stack([rng.normal(size=60), np.full(60, 2.5)])
    fit = masked_ridge(x, y, penalty_grid(x))
    assert fit.penalty[0] > np.median(penalty_grid(x))
    np.testing.assert_allclose(fit.left_out[:, 1], 2.5)
    np.testing.assert_allclose(fit.coefficients[:, 1], 0, atol=1e-12)


@pytest.mark.parametrize("bad", [{"penalties": np.array([0.0, 1.0])}, {"weights": np.zeros(30)}])
def test_refused(bad):
    x, y, _, _ = data()
    with pytest.raises(ValueError, match="must be"):
        masked_ridge(x, y, **({"penalties": np.array([1.0])} | bad))


def test_one_penalty_needs_nothing_left_out():
    x, y, groups, w = data()
    whole = masked_ridge(x, y, np.array([3.0]), groups=groups, weights=w)
    fit = masked_ridge(x, y, np.array([3.0]), groups=groups, weights=w, left_out=False)
    np.testing.assert_array_equal(fit.coefficients, whole.coefficients)
    np.testing.assert_array_equal(fit.intercept, whole.intercept)
    assert np.isfinite(whole.left_out).any()
    assert np.isnan(fit.left_out).all()
    with pytest.raises(ValueError, match="give one penalty"):
        masked_ridge(x, y, np.array([0.3, 3.0]), left_out=False)
