"""The arithmetic below the evidence, against loops, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Peer

from omicstl.models.assess import space as kernel
from omicstl.models.assess.class_shares import platt, shifted
from omicstl.models.assess.target import leading
from omicstl.models.transfer.screen import Lines


def screen(n=40, p=60, seed=0, study=None):
    random = np.random.default_rng(seed)
    x = (random.normal(size=(n, 5)) @ random.normal(size=(5, p)) + random.normal(size=(n, p)) + 3).astype(np.float32)
    y = x[:, :3].sum(axis=1, keepdims=True).astype(float)
    return Lines(x, y, np.array(["d"], dtype=object), np.zeros(1, bool), np.arange(n).astype(str), None, study)


def test_standardise_within_groups() -> None:
    x = screen().x
    groups = np.repeat(["a", "b"], 20)
    x[:, 4] = 2.0
    found = kernel.standardise(x, groups)
    for group in "ab":
        part = np.delete(x[groups == group].astype(float), 4, axis=1)
        expected = (part - part.mean(axis=0)) / part.std(axis=0)
        np.testing.assert_allclose(np.delete(found[groups == group], 4, axis=1), expected, atol=1e-5)
    assert not found[:, 4].any()


@pytest.mark.parametrize(("n", "p"), [(40, 60), (60, 30)])
def test_space_is_the_principal_components(n: int, p: int) -> None:
    lines, cells = screen(n, p), screen(25, p, 1).x
    cells[:, 0] = 1.0
    space = kernel.build(lines, cells)
    assert not space.kept[0]
    assert space.kept[1:].all()
    np.testing.assert_allclose(space.basis.T @ space.basis, np.eye(space.basis.shape[1]), atol=1e-4)
    _, size, _ = np.linalg.svd(space.lines.astype(float), full_matrices=False)
    k = space.coords.shape[1]
    np.testing.assert_allclose(np.linalg.norm(space.coords, axis=0), size[:k], rtol=1e-3)
    np.testing.assert_allclose(space.cell_coords, space.cells @ space.basis, atol=1e-4)


def test_no_gene_in_common() -> None:
    with pytest.raises(ValueError, match="No shared gene varies"):
        kernel.build(screen(), np.ones((5, 60), np.float32))


def test_left_out_is_a_refit_without_the_group() -> None:
    space = kernel.build(screen(), screen(25, seed=1).x)
    random = np.random.default_rng(2)
    y, groups, penalty = random.normal(size=(40, 3)), random.integers(0, 6, 40), 7.0
    found = kernel.ridge(space.coords).left_out(y, groups, penalty)
    for group in range(6):
        out = groups == group
        peer = Peer(alpha=penalty).fit(space.coords[~out], y[~out])
        np.testing.assert_allclose(found[out], peer.predict(space.coords[out]), atol=1e-6)
    whole = kernel.ridge(space.coords).coefficients(y, penalty)
    np.testing.assert_allclose(whole, Peer(alpha=penalty).fit(space.coords, y).coef_.T, atol=1e-8)


def test_weights_of_genes_give_the_score_of_components() -> None:
    space = kernel.build(screen(), screen(25, seed=1).x)
    coefficients = kernel.ridge(space.coords).coefficients(screen().y[:, 0], 3.0)
    np.testing.assert_allclose(
        space.cells @ space.weights(coefficients), space.cell_coords @ coefficients, rtol=1e-3, atol=1e-3
    )


def test_centre_within() -> None:
    random = np.random.default_rng(0)
    values, groups = random.normal(size=(12, 2)), np.array([0, 1, 2] * 4)
    found = kernel.centre_within(values, groups)
    for group in range(3):
        np.testing.assert_allclose(
            found[groups == group], values[groups == group] - values[groups == group].mean(axis=0)
        )
    np.testing.assert_allclose(kernel.centre_within(values[:, 0], groups), found[:, 0])


def test_folds_where_lineages_are_not_known() -> None:
    random = np.random.default_rng(0)
    groups, known = kernel.codes(None, 25, random)
    assert not known
    assert np.bincount(groups).tolist() == [3] * 5 + [2] * 5
    assert kernel.codes(np.array(["a", "b", "c"] * 5), 15, random)[1]
    assert not kernel.codes(np.array(["a", "b", "b"] * 5), 15, random)[1], "two lineages are too few to leave out"


def test_leading_directions_are_those_of_an_svd() -> None:
    x = screen(50, 80, 3).x
    found = leading(x, 4, np.random.default_rng(0))
    exact = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:4].T
    np.testing.assert_allclose(np.linalg.svd(found.T @ exact, compute_uv=False), 1, atol=1e-3)


def test_share_of_positives_is_found_again() -> None:
    random = np.random.default_rng(0)
    positive = random.random(4000) < 0.3
    slope, offset = platt(random.normal(size=4000) + 2 * positive, positive)
    assert slope == pytest.approx(2, abs=0.2), "of two Gaussians of unit variance it is their distance"
    target = random.random(4000) < 0.7
    score = random.normal(size=4000) + 2 * target
    assert shifted(1 / (1 + np.exp(-(slope * score + offset))), 0.3) == pytest.approx(0.7, abs=0.05)


def test_small_studies_are_put_together() -> None:
    study = np.repeat(["a", "b", "c", "d"], [20, 12, 6, 5])
    found = kernel.studies_of(study)
    assert [np.unique(found[study == name]).size for name in "abcd"] == [1] * 4
    assert np.unique(found).size == 3
    assert found[study == "c"][0] == found[study == "d"][0]
    few = kernel.studies_of(np.repeat(["a", "b", "c"], [20, 12, 3]))
    assert few[-1] == few[0]
    assert np.unique(few).size == 2, "too few to be centred by themselves"
    assert kernel.studies_of(np.repeat(["a", "b"], [20, 3])) is None
    assert kernel.studies_of(None) is None
