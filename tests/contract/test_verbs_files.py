"""What verbs have written goes into files and comes back: tables, models, and what can be done with them."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl._data import store
from tests.contract.cases import CASES, cohort, fitted, gene_sets, plier, query
from tests.support.snapshots import changes, snapshot

every_verb = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_form = pytest.mark.parametrize("form", ["h5ad", "zarr"])
pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")


def round_trip(adata, path, form):
    if form == "zarr":
        pytest.importorskip("zarr")
    target = path / f"a.{form}"
    getattr(adata, f"write_{form}")(target)
    return getattr(ad, f"read_{form}")(target)


@every_form
@every_verb
def test_all_that_is_written_comes_back(case, form, tmp_path):
    adata = case.make()
    case.call(adata)
    assert not changes(snapshot(adata), snapshot(round_trip(adata, tmp_path, form)))


@every_form
def test_the_model_works_after_the_round_trip(form, tmp_path):
    adata, one, two = fitted(), query(), query()
    back = round_trip(adata, tmp_path, form)
    model = otl.get.model(back)
    assert store.digest(model.to_dict()) == adata.uns["plier"]["digest"] == back.uns["plier"]["digest"]
    otl.tl.project(one, adata)
    otl.tl.project(two, back)
    assert not changes(snapshot(one), snapshot(two))
    otl.tl.stability(back, n_refits=1)
    assert "stability" in back.uns["plier"]


@every_form
def test_a_projection_works_after_the_round_trip(form, tmp_path):
    adata = query()
    otl.tl.project(adata, fitted())
    back = round_trip(adata, tmp_path, form)
    assert otl.get.factors(back).var["expected_r"].equals(otl.get.factors(adata).var["expected_r"])
    with pytest.raises(KeyError, match="is a projection: its model is in the reference it came from"):
        otl.get.model(back, "plier")
    otl.tl.project(back, fitted())  # a projection may be made again


def test_awkward_names_of_genes_sets_and_samples_survive(tmp_path):
    """A slash breaks files where a name is a key: names must be values."""
    adata = cohort()
    adata.obs_names = [f"S/{i} é" for i in range(adata.n_obs)]
    rename = dict(zip(adata.var_names, [f"HLA-{i}/β" for i in range(adata.n_vars)], strict=True))
    adata.var_names = list(rename.values())
    sets = {f"a/b {name}": [rename[g] for g in genes] for name, genes in gene_sets().items()}
    otl.tl.plier(adata, sets, n_factors=4, max_iter=60, tol=1e-3)
    otl.tl.stability(adata, n_refits=1)
    back = round_trip(adata, tmp_path, "h5ad")
    assert not changes(snapshot(adata), snapshot(back))
    assert any("a/b SET" in name for name in otl.get.model(back).names)


def test_a_model_file_is_the_model(tmp_path):
    """`model_path` keeps the model beside the data; everything else is the same."""
    path = tmp_path / "plier.npz"
    inside, beside = fitted(), cohort()
    plier(beside, model_path=path)
    entry = beside.uns["plier"]["model"]
    assert set(entry) == {"kind", "path", "digest", "n_bytes"}
    assert entry["n_bytes"] == store.n_bytes(inside.uns["plier"]["model"])
    back = round_trip(beside, tmp_path, "h5ad")
    answers = []
    for reference in (inside, back, path, str(path), otl.get.model(inside), otl.io.read_model(path)):
        adata = query()
        otl.tl.project(adata, reference)
        del adata.uns["plier"]["reference"]["key"]  # a model by itself has none,
        del adata.uns["plier"]["summary"]["p_permutation"]  # nor what needs the data
        answers.append(snapshot(adata))
    assert all(not changes(answers[0], other) for other in answers[1:])
    plier(beside, model_path=path, rng=1)
    with pytest.raises(ValueError, match="is not the one that was fitted"):
        otl.get.model(back)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="plier.npz.* there is no such file. Put it back"):
        otl.tl.project(query(), beside)


def test_a_model_holds_nothing_of_the_observations():
    adata = cohort()
    adata.obs_names = [f"patient-{i}" for i in range(adata.n_obs)]
    plier(adata)
    tree = otl.get.model(adata).to_dict()
    arrays = [value for value in tree.values() if isinstance(value, np.ndarray)]
    assert adata.n_obs not in {n for array in arrays for n in array.shape}
    assert not any("patient" in str(name) for array in arrays if array.dtype.kind in "OU" for name in array)
    assert len(arrays) <= 64


@pytest.mark.parametrize("joined", ["dropped", "kept"])
def test_concatenation_says_what_it_did_to_the_model(joined):
    adata = fitted()
    other = adata.copy()
    options = {"merge": "same", "uns_merge": "same"} if joined == "kept" else {}
    both = ad.concat([adata, other], index_unique="-", **options)
    if joined == "kept":
        assert otl.get.model(both).names.tolist() == otl.get.model(adata).names.tolist()
        return
    with pytest.raises(KeyError, match="ad.concat drops or merges `uns`"):
        otl.get.model(both)
    other.uns["plier"]["model"]["loadings"] *= 2
    mixed = ad.concat([adata, other], index_unique="-", merge="same", uns_merge="same")
    with pytest.raises(ValueError, match="loadings.* missing.*ad.concat"):
        otl.get.model(mixed)


def test_citations_tell_what_was_done():
    adata = query()
    otl.tl.project(adata, fitted())
    text = otl.cite(adata)
    assert "ridge regression" in text
    assert "@article{Taroni2019" in text
    assert "4 factors of a plier model" in text
