"""Tests of shift: their size, their power, and the names that follow from them; shares of classes on known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl._core.random import streams
from omicstl.models.shift import bound, cross_fit, kinds, label_shift, space as domain_space, tests


def classes(n, seed, *, p=0.5, move=(0, 0, 0), slope=(2, 0, 0)):
    """x ~ N(move, 1), y by a logistic model; or, with p, rows drawn so that the share of class 1 is p."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(20 * n, 3)) + np.array(move)
    y = (rng.uniform(size=20 * n) < 1 / (1 + np.exp(-x @ np.array(slope)))).astype(float)
    if p == 0.5:
        return x[:n], y[:n]
    n_one = round(p * n)
    rows = np.concatenate([np.flatnonzero(y == 1)[:n_one], np.flatnonzero(y == 0)[: n - n_one]])
    return x[rows], y[rows]


def share_below(test, level=0.1, n=100):
    p = np.array([test(seed) for seed in range(n)])
    return np.mean(p <= level)


def test_marginal_has_its_size():
    def p(seed):
        x, y = np.random.default_rng(seed).normal(size=(2, 60, 3))
        return tests.same_marginal(x, y, np.random.default_rng(seed), 60)[1]

    assert share_below(p) < 0.18
    rng = np.random.default_rng(0)
    assert tests.same_marginal(rng.normal(size=(100, 3)), 1.8 * rng.normal(size=(100, 3)), rng, 200)[1] < 0.02


def test_one_column_hotelling_is_the_t_test():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 1)), rng.normal(size=(40, 1)) + 1.0
    p = stats.ttest_ind(x[:, 0], y[:, 0]).pvalue
    assert tests.same_marginal(x, y, rng, 0)[1] == pytest.approx(2 * p)


def test_label_shift_passes_and_covariate_shift_fails_the_mixture():
    def p(seed, **options):
        x, y = classes(300, seed)
        z, _ = classes(300, 1000 + seed, **options)
        return tests.explained_by_labels(x, tests.basis(y, 2), z)[1]

    assert share_below(lambda seed: p(seed, p=0.85)) < 0.19
    assert share_below(lambda seed: p(seed)) < 0.19
    assert share_below(lambda seed: p(seed, move=(0, 0.5, 0)), level=0.01, n=20) > 0.9
    x, y = classes(3000, 0)
    z, truth = classes(3000, 1, p=0.85)
    np.testing.assert_allclose(
        tests.explained_by_labels(x, tests.basis(y, 2), z)[2], [1 - truth.mean(), truth.mean()], atol=0.04
    )


def test_mixture_of_a_number():
    rng = np.random.default_rng(0)
    y = rng.normal(size=600)
    x = y[:, None] * np.array([1, 0.5, 0, -1]) + 0.3 * (y**2)[:, None] + rng.normal(size=(600, 4))
    rows = np.argsort(y + rng.normal(size=600))[-300:]
    moved = x[rows[:150]]
    rest = np.setdiff1d(np.arange(600), rows[:150])
    assert tests.explained_by_labels(x[rest], tests.basis(y[rest], 0), moved)[1] > 0.01
    assert tests.explained_by_labels(x[rest], tests.basis(y[rest], 0), moved + [0, 0, 1, 0])[1] < 1e-6
    few = tests.explained_by_labels(x[rest][:, :2], tests.basis(y[rest], 0), moved[:, :2])
    assert np.isnan(few[1])  # as many unknowns as equations


def reference_hansen(source, design, target, seen):
    """Two-step: the weighted least squares over means of labels that the source has, by a general-purpose optimiser."""
    from scipy.optimize import minimize

    n, m, q = len(source), len(target), design.shape[1] - 1
    coefficients = np.linalg.lstsq(design, source, rcond=None)[0]
    noise = np.cov((source - design @ coefficients).T, ddof=0) * n / (n - q - 1)
    shares = np.full(len(seen), 1 / len(seen))
    beta = design.mean(axis=0)
    for _ in range(6):
        weight = np.linalg.inv(np.cov(target.T) / m + noise * (beta @ np.linalg.inv(design.T @ design) @ beta))

        def loss(w, weight=weight):
            left = target.mean(axis=0) - coefficients.T @ seen.T @ w
            return left @ weight @ left

        shares = minimize(
            loss,
            shares,
            method="SLSQP",
            bounds=[(0, 1)] * len(seen),
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        ).x
        beta = seen.T @ shares
    return loss(shares), beta


def test_shares_below_nothing_explain_nothing():
    """A move along the classes' means, further than any shares reach; without the bounds p is .5 in such draws."""
    rng = np.random.default_rng(0)
    x, y = classes(400, 0)
    design = tests.basis(y, 2)
    gap = x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)
    far = rng.normal(size=(300, 3)) * 0.9 + x.mean(axis=0) + 1.2 * gap
    statistic, p, beta = tests.explained_by_labels(x, design, far)
    assert p < 1e-4
    np.testing.assert_allclose(beta, [0, 1], atol=1e-6)
    expected, shares = reference_hansen(x, design, far, np.eye(2))
    np.testing.assert_allclose(shares, beta, atol=1e-6)
    assert statistic * 3 == pytest.approx(expected, rel=1e-5)  # three equations, and no free share is left


def test_a_square_below_the_squared_mean_explains_nothing():
    """The label goes with x in a line, so its square may stand for any direction unless it must be the square of something."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    y = x @ np.array([1.5, 1, 0, 0]) + rng.normal(size=500)
    y = (y - y.mean()) / y.std()
    design = tests.basis(y, 0)
    p = []
    for draw in range(20):
        target = rng.normal(size=(500, 4)) + 0.6 * rng.normal(size=4)
        statistic, found, beta = tests.explained_by_labels(x, design, target)
        assert beta[2] >= beta[1] ** 2 - 1e-6
        assert (beta[1] - y.min()) * (y.max() - beta[1]) >= beta[2] - beta[1] ** 2 - 1e-6
        p.append(found)
        if draw > 2:
            continue
        expected, _ = reference_hansen(x, design, target, tests.basis(np.quantile(y, np.linspace(0, 1, 40)), 0))
        assert min(abs(statistic * 2 - expected), abs(statistic * 3 - expected)) < 0.05 * expected + 0.05
    assert np.mean(np.array(p) < 0.01) > 0.7
    draws = []
    for seed in range(40):  # and its size: labels drawn towards one end
        own = np.random.default_rng(seed)
        z = own.normal(size=(6000, 4))
        score = z @ np.array([1.5, 1, 0, 0]) + own.normal(size=6000)
        odds = np.exp(0.5 * score)
        rows = own.choice(6000, 300, replace=False, p=odds / odds.sum())
        one, other = own.normal(size=(500, 4)), z[rows]
        label = one @ np.array([1.5, 1, 0, 0]) + own.normal(size=500)
        draws.append(tests.explained_by_labels(one, tests.basis((label - label.mean()) / label.std(), 0), other)[1])
    assert np.mean(np.array(draws) <= 0.1) < 0.22


def test_means_along_the_labels():
    """For two classes and one direction it is a test of a contrast; of the right size, and stronger than one in all directions."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(60, 1)), rng.normal(size=(50, 1)) + 0.3
    label = tests.basis(rng.integers(2, size=60).astype(float), 2)
    t = stats.ttest_ind(x[:, 0], z[:, 0], equal_var=False).statistic
    assert tests.same_shares(x, label, z)[0] == pytest.approx(t**2)

    def p(seed, share, test):
        x, y = classes(300, seed)
        z, _ = classes(300, 1000 + seed, p=share)
        more = [np.column_stack([part, np.random.default_rng(seed).normal(size=(300, 6))]) for part in (x, z)]
        if test == "means":
            return tests.same_marginal(*more, np.random.default_rng(0), 0)[1]
        return tests.same_shares(more[0], tests.basis(y, 2), more[1])[1]

    assert share_below(lambda seed: p(seed, 0.5, "along")) < 0.19
    along, means = (
        share_below(lambda seed, name=name: p(seed, 0.7, name), level=0.01, n=40) for name in ("along", "means")
    )
    assert along > means + 0.2


def test_given_label_and_given_features_have_their_sizes():
    def given_label(seed):
        x, y = classes(300, seed)
        z, truth = classes(60, 1000 + seed, p=0.8)
        return tests.same_given_label(x, tests.basis(y, 2), z, tests.basis(truth, 2))[1]

    def given_features(seed):
        x, y = classes(300, seed)
        z, truth = classes(60, 1000 + seed, move=(0.5, 0.5, 0))
        return tests.same_given_features(x, y, z, truth, binary=True)[1]

    assert share_below(given_label) < 0.19
    assert share_below(given_features) < 0.19


def test_given_label_without_covariates_is_anova():
    """One column, two classes of labels: with domain x class against class alone, Pillai's test is the F test."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(40, 1)), rng.normal(size=(20, 1)) + 0.5
    y, truth = rng.integers(2, size=40).astype(float), rng.integers(2, size=20).astype(float)
    found = tests.same_given_label(x, tests.basis(y, 2), z, tests.basis(truth, 2))[1]
    cells = [x[y == c, 0] for c in (0, 1)] + [z[truth == c, 0] for c in (0, 1)]
    full = sum(np.sum((cell - cell.mean()) ** 2) for cell in cells)
    both = [np.concatenate([cells[c], cells[2 + c]]) for c in (0, 1)]
    null = sum(np.sum((part - part.mean()) ** 2) for part in both)
    f = (null - full) / 2 / (full / 56)
    assert found == pytest.approx(stats.f.sf(f, 2, 56))


@pytest.mark.parametrize("binary", [True, False])
def test_a_turned_relation_is_found(binary):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(300, 4)), rng.normal(size=(80, 4))
    draw = lambda score: (
        (score + rng.logistic(size=len(score)) > 0).astype(float) if binary else score + rng.normal(size=len(score))
    )
    same = tests.same_given_features(x, draw(2 * x[:, 0]), z, draw(2 * z[:, 0]), binary=binary)[1]
    turned = tests.same_given_features(x, draw(2 * x[:, 0]), z, draw(2 * z[:, 1]), binary=binary)[1]
    assert same > 0.01
    assert turned < 1e-3


@pytest.mark.parametrize(
    ("options", "kind", "blind"),
    [
        ({}, "none", "none or concept"),
        ({"move": (0, 0.8, -0.8)}, "covariate", "covariate or concept"),
        ({"p": 0.88}, "label", "label or other"),
        ({"slope": (-2, 0, 0)}, "concept", "none or concept"),
        ({"slope": (0, 0, 2), "move": (0, 1, 0)}, "concept", "covariate or concept"),
        ({"move": (0.5, 0, 0)}, "covariate", "label or other"),  # as other shares would move it
    ],
)
def test_names(options, kind, blind):
    x, y = classes(500, 0)
    z, truth = classes(500, 7, **options)
    labelled = np.where(np.random.default_rng(0).permutation(500) < 150, truth, np.nan)
    found = kinds.name_shift(x, y, z, labelled, n_classes=2, random=streams(0))
    assert (found.kind, found.concept_tested) == (kind, True)
    without = kinds.name_shift(x, y, z, np.full(500, np.nan), n_classes=2, random=streams(0))
    assert (without.kind, without.concept_tested) == (blind, False)
    assert "Without labels in the target nothing can tell" in without.sentence
    assert np.isnan(without.checks[-1].p)


def test_decision_table():
    """p of P(x), of the mixture, along the labels, P(y), P(x | y), P(y | x)."""
    small, large = 1e-4, 0.5
    decide = lambda x, mixture, *p: kinds._decide([x, mixture, small, *p], 0.01, True)
    assert decide(large, large, large, large, large) == "none"
    assert decide(small, small, large, small, large) == "covariate"
    assert decide(small, large, small, large, small) == "label"
    assert decide(small, small, small, small, small) == "concept"
    assert decide(large, large, large, small, small) == "concept"
    assert decide(large, large, small, large, large) == "label"
    blind = lambda *p: kinds._decide([*p, np.nan, np.nan, np.nan], 0.01, False)
    assert [blind(large, large, large), blind(small, small, large), blind(small, large, large)] == list(
        kinds.BLIND_KINDS
    )
    assert blind(large, large, small) == "label or other"
    untested = lambda *p: kinds._decide([small, np.nan, small, *p], 0.01, True)
    assert untested(large, large, large) == "covariate"
    assert untested(small, large, large) == "label"
    for kind in kinds.KINDS:
        assert kinds.BLIND not in kinds._sentence(kind, True, 30)
    for kind in kinds.BLIND_KINDS:  # no word of a blind report claims what was not seen
        said = kinds._sentence(kind, False, 0)
        assert said.endswith(kinds.BLIND)
        assert "shift:" not in said.removesuffix(kinds.BLIND).lower()


def test_what_few_components_cannot_test_is_not_claimed():
    """One column and two classes: any move of the mean is that of other shares."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300).astype(float)
    x = y[:, None] + rng.normal(size=(300, 1))
    for move, labels in ((0.4, 0), (0.4, 40)):
        truth = np.where(np.arange(200) < labels, rng.integers(2, size=200), np.nan)
        target = rng.integers(2, size=(200, 1)) + move + rng.normal(size=(200, 1))
        found = kinds.name_shift(x, y, target, truth, n_classes=2, random=streams(0))
        assert found.kind == ("covariate" if labels else "label or other")
        assert np.isnan(found.checks[1].p)
        assert kinds.FEW in found.sentence
        assert "explains" not in found.sentence


def test_three_classes_and_numbers():
    rng = np.random.default_rng(0)
    means = 2.5 * np.eye(3, 4)
    draw = lambda n, p: (lambda y: (means[y] + rng.normal(size=(n, 4)), y.astype(float)))(rng.choice(3, n, p=p))
    x, y = draw(400, [1 / 3] * 3)
    z, truth = draw(400, [0.7, 0.2, 0.1])
    labelled = np.where(np.arange(400) < 100, truth, np.nan)
    assert kinds.name_shift(x, y, z, labelled, n_classes=3, random=streams(0)).kind == "label"
    a, b = rng.normal(size=(2, 400, 5))
    u = a[:, 0] + 0.5 * rng.normal(size=400)
    for v, kind in ((b[:, 0], "none"), (-b[:, 0], "concept")):
        labels = np.where(np.arange(400) < 100, v + 0.5 * rng.normal(size=400), np.nan)
        assert kinds.name_shift(a, u, b, labels, n_classes=0, random=streams(0)).kind == kind


def test_space_is_principal_components():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 400)) * 3 + rng.normal(size=(60, 400))
    space = domain_space.learn(x[:30], x[30:])
    assert space.components.shape == (400, 3)
    z = space.transform(x)
    np.testing.assert_allclose(z.T @ z / 60, np.eye(3), atol=1e-4)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    left = np.linalg.svd(scaled, full_matrices=False)[0][:, :3]
    assert np.abs(np.linalg.svd(left.T @ (z / np.linalg.norm(z, axis=0)))[1] - 1).max() < 1e-4
    many = domain_space.learn(np.tile(x, (6, 1)), np.tile(x, (6, 1)), n_comps=3)  # the truncated way
    turned = np.corrcoef(many.transform(x).T, z.T)[:3, 3:]
    np.testing.assert_allclose(np.abs(np.diag(turned)), 1, atol=1e-3)
    with pytest.raises(ValueError, match="All columns are constant"):
        domain_space.learn(np.ones((12, 3)), np.ones((12, 3)))


def test_cross_fitting_does_not_see_the_row():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 300)), rng.integers(2, size=60)
    found = cross_fit.probabilities(x, y, x, n_classes=2, generator=rng)
    assert np.mean(found.own.argmax(axis=1) == y) < 0.7
    assert np.mean(found.other.argmax(axis=1) == y) == 1  # most folds have seen it
    np.testing.assert_allclose(found.own.sum(axis=1), 1)
    fold = cross_fit.folds(np.repeat([0, 1, 2], [7, 11, 2]), 5, rng)
    assert np.ptp(np.bincount(fold, minlength=5)) <= 1
    lonely = cross_fit.probabilities(x[:11], np.repeat([0, 1], [10, 1]), x[:2], n_classes=2, generator=rng)
    assert np.isfinite(lonely.own).all()


@pytest.mark.parametrize("method", label_shift.METHODS)
def test_shares_of_classes(method):
    errors, covered = [], 0
    for seed in range(4):
        x, y = classes(800, seed)
        z, truth = classes(800, 1000 + seed, p=0.85)
        found = label_shift.estimate(
            x, y, z, n_classes=2, method=method, n_resamples=40, confidence=0.95, random=streams(0)
        )
        errors.append(found.target[1] - truth.mean())
        covered += found.low[1] < truth.mean() < found.high[1]
        assert found.high[1] - found.low[1] < 0.3
        assert found.converged
        assert found.p > 0.001
    assert abs(np.mean(errors)) < 0.05
    assert covered >= 3


def test_terms_of_the_bound():
    x, y = classes(400, 0, slope=(6, 0, 0))
    z, truth = classes(400, 1, slope=(6, 0, 0), move=(0, 2, 0))
    moved = bound.terms(x, y, z, truth, n_classes=2, random=streams(0))
    assert moved.divergence > 0.5
    assert moved.joint_error < 0.35
    assert moved.target_error < 0.2
    flipped = bound.terms(x, y, x[::-1], 1 - y[::-1], n_classes=2, random=streams(0))
    assert flipped.divergence < 0.1
    assert flipped.joint_error > 0.7
    assert flipped.target_error > 0.8
    assert np.isnan(bound.terms(x, y, z, truth * np.nan, n_classes=2, random=streams(0)).joint_error)
