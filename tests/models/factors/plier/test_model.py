"""The stored form of PLIER's model: what damage is seen, and how large it is known to be before the fit."""

from __future__ import annotations

import numpy as np
import pytest

import omicstl as otl
from omicstl._data import store
from omicstl.models import base, kinds
from omicstl.models.factors.plier import model as parts
from omicstl.models.factors.plier.model import PlierModel
from tests.contract.cases import fitted


@pytest.fixture(scope="module")
def model():
    return otl.get.model(fitted())


def test_is_a_linear_model(model):
    assert isinstance(model, base.Model)
    assert isinstance(model, base.LinearModel)
    assert model.kind == "plier"
    assert kinds.KINDS["plier"].endswith("PlierModel")


def test_there_and_back(model):
    tree = model.to_dict()
    again = kinds.from_dict(tree)
    assert isinstance(again, PlierModel)
    assert store.digest(again.to_dict()) == store.digest(tree)
    assert again.loadings.dtype == np.float32
    assert again.heldout.dtype == bool
    np.testing.assert_array_equal(again.prior.toarray(), model.prior.toarray())


def test_the_size_is_known_before_the_fit(model):
    guess = parts.size_in_bytes(model.features.size, model.sets.size, model.names.size, model.prior_indices.size)
    real = store.n_bytes(model.to_dict())
    assert 0.7 * real < guess < 1.5 * real


def test_the_size_of_a_large_model_is_known_to_a_few_percent():
    """Sizes of recount2, arrays that are never made: counted from the fields' shapes and types."""
    p, m, k, nnz = 6750, 628, 987, 40_000
    arrays = {"loadings": 4 * p * k, "weights": 4 * m * k, "auc": 4 * m * k, "score_cov": 8 * k * k}
    arrays |= {"mean": 8 * p, "scale": 8 * p, "noise": 8 * p, "prior": 5 * nnz + 4 * m}
    assert parts.size_in_bytes(p, m, k, nnz) == pytest.approx(sum(arrays.values()), rel=0.05)


DAMAGE = {
    "loadings": lambda a: a[:-1],
    "weights": lambda a: a.T,
    "mean": lambda a: a[1:],
    "scale": lambda a: a[:, None],
    "noise": lambda a: np.append(a, 1.0),
    "score_cov": lambda a: a[:, :-1],
    "prior_indptr": lambda a: a[:-1],
    "heldout": lambda a: a[:-1],
    "auc": lambda a: a[:, :-1],
    "names": lambda a: a[:-1],
    "features": lambda a: a[:-1],
    "sets": lambda a: a[:-1],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_shapes_are_refused(name, model):
    tree = model.to_dict()
    tree[name] = DAMAGE[name](np.asarray(tree[name]))
    with pytest.raises(ValueError, match=r"The PLIER model is damaged: \w+ has shape .*, expected"):
        kinds.from_dict(tree)


@pytest.mark.parametrize("version", [0, 3, None, "1"])
def test_other_versions_are_refused(version, model):
    with pytest.raises(
        ValueError, match=f"has version {version!r}, and this omicstl reads versions 1 to 2.*newer omicstl"
    ):
        kinds.from_dict(model.to_dict() | {"version": version})


def test_unknown_kinds_are_refused(model):
    with pytest.raises(ValueError, match="no omicstl model: kind 'pca', known kinds: 'adapt'.*'factor_table'.*more"):
        kinds.from_dict(model.to_dict() | {"kind": "pca"})


def test_prior_and_trained(model):
    prior, trained = model.prior, model.trained
    assert prior.shape == (model.features.size, model.sets.size)
    assert (prior.toarray() >= trained.toarray()).all()
    assert prior.nnz - trained.nnz == model.heldout.sum()
    model.prior.indices[:] = 0  # a copy: the model cannot be changed through it
    np.testing.assert_array_equal(model.prior.toarray(), prior.toarray())


def test_hold_out_takes_a_share_of_every_set(model):
    for share in (0.1, 0.5):
        marked = parts.hold_out(model.prior, share, np.random.default_rng(0))
        sizes = np.diff(model.prior.indptr)
        np.testing.assert_array_equal(np.add.reduceat(marked, model.prior.indptr[:-1]), (sizes * share).astype(int))
    one, two = (parts.hold_out(model.prior, 0.3, np.random.default_rng(s)) for s in (1, 2))
    assert (one != two).any()
