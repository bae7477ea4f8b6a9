"""Rules for the number of factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omicstl.kernels import rank

GOLDEN = Path(__file__).parents[1] / "data" / "golden_sle.npz"


def standardised(y):
    y = y - y.mean(axis=1, keepdims=True)
    return y / y.std(axis=1, ddof=1, keepdims=True)


def planted(seed, genes, samples, n_components=5, strength=0.7):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(genes, n_components)) @ rng.normal(size=(n_components, samples))
    return standardised(strength * signal + rng.normal(size=(genes, samples)))


def naive_smooth(x):
    """3RS3R value by value in plain Python."""

    def repeated(values):
        y = list(values)
        if len(y) < 3:
            return y
        while True:
            z = [y[0]] + [sorted(y[i - 1 : i + 2])[1] for i in range(1, len(y) - 1)] + [y[-1]]
            if z == y:
                break
            y = z
        first = sorted([3 * y[1] - 2 * y[2], values[0], y[1]])[1]
        last = sorted([3 * y[-2] - 2 * y[-3], values[-1], y[-2]])[1]
        return [first, *y[1:-1], last]

    def split(y):
        z, changed = list(y), False
        if len(y) <= 4:
            return z, changed
        for i in range(2, len(y) - 3):
            peak = y[i - 1] < y[i] == y[i + 1] > y[i + 2]
            valley = y[i - 1] > y[i] == y[i + 1] < y[i + 2]
            if not (peak or valley):
                continue
            for at, a, b in ((i, i - 1, i - 2), (i + 1, i + 2, i + 3)):
                z[at] = sorted([y[at], y[a], 3 * y[a] - 2 * y[b]])[1]
                if z[at] != y[at]:
                    changed = True
                elif 3 * y[a] - 2 * y[b] == y[at]:
                    changed = False
        return z, changed

    once = repeated(list(x))
    parts, changed = split(once)
    return repeated(parts) if changed else once


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 30, 200])
@pytest.mark.parametrize("digits", [0, 15])
def test_smoothing_is_that_of_a_plain_loop(size, digits):
    for seed in range(20):
        x = np.round(3 * np.random.default_rng(seed).normal(size=size), digits)
        once = np.array(naive_smooth(x))
        np.testing.assert_array_equal(rank.tukey_smooth(x), once + naive_smooth(x - once))


@pytest.mark.parametrize(
    ("x", "smooth"),
    [
        # Tukey's rules by hand: a spike goes, a straight line and a step stay
        ([1, 2, 3, 10, 5, 6, 7], [1, 2, 3, 5, 6, 6, 6]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ([0, 0, 0, 5, 5, 5], [0, 0, 0, 5, 5, 5]),
        ([4, 1, 3, 6, 6, 4, 1, 6, 2, 4, 2], [3, 3, 3, 3, 4, 4, 4, 4, 2, 2, 2]),  # from the help page of R's smooth
    ],
)
def test_smoothing_known_examples(x, smooth):
    np.testing.assert_array_equal(rank._smooth_once(np.array(x, dtype=float)), smooth)


def test_elbow_is_that_of_the_original():
    golden = np.load(GOLDEN)
    assert rank.elbow(golden["svd_d"]) == golden["num_pc"] == 37


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_elbow_of_a_few_values(n):
    assert rank.elbow(np.arange(n, 0, -1.0)) <= max(n, 2)


@pytest.mark.parametrize("shape", [(400, 60), (60, 400), (100, 100)])
def test_planted_components_are_counted(shape):
    for seed in range(3):
        y = planted(seed, *shape)
        d = np.linalg.svd(y, compute_uv=False)
        assert rank.marchenko_pastur(d**2, *shape) == 5
        assert rank.gavish_donoho(d, *shape) == 5
        assert rank.permutation(y, np.random.default_rng(0), n_permutations=10) == 5


def test_noise_has_no_component():
    found = []
    for seed in range(40):
        y = planted(seed, 200, 50, strength=0.0)
        found.append(rank.marchenko_pastur(np.linalg.svd(y, compute_uv=False) ** 2, 200, 50))
    assert np.mean(found) <= 0.1
    assert rank.permutation(y, np.random.default_rng(0)) <= 1


def test_counts_do_not_depend_on_how_many_values_were_computed():
    d = np.linalg.svd(planted(0, 300, 80), compute_uv=False)
    for size in (10, 45, 79, 80):
        assert rank.marchenko_pastur(d[:size] ** 2, 300, 80) == 5
    for size in (45, 79, 80):
        assert rank.gavish_donoho(d[:size], 300, 80) == 5
    with pytest.raises(ValueError, match=r"at least 40 of 79 values, got 10\. Use marchenko_pastur\."):
        rank.gavish_donoho(d[:10], 300, 80)


def test_median_of_the_marchenko_pastur_law():
    # their cubic approximation of omega, the limit in units of the median singular value, is good to 0.02
    for ratio in (0.1, 0.5, 1.0):
        omega = 0.56 * ratio**3 - 0.95 * ratio**2 + 1.82 * ratio + 1.43
        limit = np.sqrt(2 * (ratio + 1) + 8 * ratio / (ratio + 1 + np.sqrt(ratio**2 + 14 * ratio + 1)))
        assert limit / np.sqrt(rank._marchenko_pastur_median(ratio)) == pytest.approx(omega, abs=0.02)


def test_permutation_is_repeatable_and_needs_no_more_than_its_generator():
    y = planted(1, 120, 30, strength=0.3)
    counts = {rank.permutation(y, np.random.default_rng(3)) for _ in range(2)}
    assert len(counts) == 1


def test_number_of_factors_is_bounded_by_samples():
    assert rank.n_factors(36, 972) == 108
    assert rank.n_factors(15, 20) == 18
    assert rank.n_factors(0, 20) == 2
    assert rank.n_factors(37, 82, multiple=2) == 73  # the original's choice for the golden run
