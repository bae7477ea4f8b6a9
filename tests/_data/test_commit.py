"""All or nothing: what is written, what is refused, and that a failure leaves the object as it was."""

from collections.abc import Mapping
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicstl._data import commit as writer
from omicstl._data.commit import Result, check_target, commit

N, P, K = 6, 4, 2


def make():
    rng = np.random.default_rng(0)
    adata = ad.AnnData(rng.normal(size=(N, P)).astype(np.float32))
    adata.obs["group"] = pd.Categorical(list("aabbab"))
    return adata


def result(key="plier", **changes):
    rng = np.random.default_rng(1)
    given = {
        "obs": {f"{key}_r2": np.linspace(0, 1, N)},
        "obsm": {key: np.asfortranarray(rng.normal(size=(N, K)).astype(np.float32))},
        "varm": {key: rng.normal(size=(P, K)).astype(np.float32)},
        "layers": {f"{key}_clean": np.ones((N, P))},
        "uns": {
            "kind": "plier",
            "version": 1,
            "converged": True,
            "nothing": None,
            "params": {"penalty": 0.5, "rng": np.int64(3), "empty": {}},
            "names": np.array(["LV1 B", "LV2/T"]),
            "history": np.arange(3.0),
            "summary": pd.DataFrame({"factor": ["LV1", "LV2"], "auc": [0.9, 0.8]}),
        },
    }
    return Result(key, **(given | changes))


def snapshot(adata):
    """Everything that a user could see, by identity where there is one."""
    seen = {"n_obs": adata.n_obs, "view": adata.is_view, "obs columns": list(adata.obs.columns)}
    for slot in ("obsm", "varm", "layers", "uns"):
        seen[slot] = {name: id(value) if slot != "uns" else repr(value) for name, value in getattr(adata, slot).items()}
    return seen | {"obs": adata.obs.to_csv()}


def test_writes_owned_plain_arrays():
    adata, given = make(), result()
    assert commit(adata, given) is None
    for written in (
        adata.obsm["plier"],
        adata.varm["plier"],
        adata.layers["plier_clean"],
        adata.uns["plier"]["history"],
    ):
        assert type(written) is np.ndarray
        assert written.flags.c_contiguous
        assert written.flags.writeable
        assert written.flags.owndata
    assert adata.obsm["plier"].dtype == np.float32
    assert not np.shares_memory(adata.varm["plier"], given.varm["plier"])
    assert adata.uns["plier"]["params"] == {"penalty": 0.5, "rng": 3, "empty": {}}
    assert type(adata.uns["plier"]["params"]["rng"]) is int
    given.uns["params"]["penalty"] = 7
    given.uns["summary"].loc[0, "auc"] = 0.0
    assert adata.uns["plier"]["params"]["penalty"] == 0.5
    assert adata.uns["plier"]["summary"]["auc"].tolist() == [0.9, 0.8]


def test_jax_arrays_become_numpy():
    jnp = pytest.importorskip("jax.numpy")
    adata = make()
    commit(adata, Result("a", obsm={"a": jnp.ones((N, 1))}, uns={"loss": jnp.ones(2), "last": jnp.float32(1.5)}))
    assert type(adata.obsm["a"]) is type(adata.uns["a"]["loss"]) is np.ndarray
    assert adata.obsm["a"].flags.writeable


def assert_same(read_back, given):
    assert set(read_back) == set(given)
    for name, value in given.items():
        got = read_back[name]
        if isinstance(value, Mapping):
            assert_same(got, value)
        elif isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(
                got, value, check_dtype=False, check_index_type=False, check_column_type=False
            )
        elif isinstance(value, np.ndarray):
            assert [str(v) for v in got] == [str(v) for v in value]
        else:
            assert got == value
            assert type(got) is type(value)


@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_round_trip(tmp_path, form):
    if form == "zarr":
        pytest.importorskip("zarr")
    adata = make()
    commit(adata, result())
    getattr(adata, f"write_{form}")(tmp_path / f"a.{form}")
    back = getattr(ad, f"read_{form}")(tmp_path / f"a.{form}")
    assert_same(back.uns["plier"], adata.uns["plier"])
    assert np.array_equal(back.obsm["plier"], adata.obsm["plier"])
    assert np.array_equal(back.obs["plier_r2"], adata.obs["plier_r2"])


def test_copy():
    adata = make()
    before = snapshot(adata)
    new = commit(adata, result(), copy=True)
    assert snapshot(adata) == before
    assert not new.is_view
    assert set(new.obsm) == {"plier"}
    assert not np.shares_memory(new.X, adata.X)


def test_view_becomes_actual_once(recwarn):
    adata = make()
    view = adata[:, ::2]
    commit(view, result(varm={}, layers={}))
    assert not view.is_view
    assert view.shape == (N, 2)
    assert "plier" in view.uns
    assert "plier" not in adata.uns
    assert not [w for w in recwarn.list if "view" in str(w.message).lower()]
    other = adata[:3]
    new = commit(other, Result("k", obsm={"k": np.ones((3, 1))}), copy=True)
    assert other.is_view
    assert new.shape == (3, P)


def test_other_obs_columns_keep_their_place():
    adata = make()
    commit(adata, result(obs={"plier_label": pd.Categorical(list("xyxyxy")), "plier_note": np.array(list("abcdef"))}))
    assert list(adata.obs.columns) == ["group", "plier_label", "plier_note"]
    commit(adata, result(obs={"plier_label": np.arange(N)}))
    assert list(adata.obs.columns) == ["group", "plier_label", "plier_note"]


def test_sparse_layer():
    adata = make()
    layer = sp.csr_matrix(np.eye(N, P))
    commit(adata, Result("k", layers={"k": layer}))
    layer.data[:] = 5
    assert adata.layers["k"].sum() == P


BAD = {
    "rows": (
        {"obsm": {"plier": np.ones((N + 1, K))}},
        ValueError,
        r"obsm\['plier'\] must have shape \(6, k\), got \(7, 2\)",
    ),
    "one dimension": (
        {"varm": {"plier": np.ones(P)}},
        ValueError,
        r"varm\['plier'\] must have shape \(4, k\), got \(4,\)",
    ),
    "column": ({"obs": {"plier": np.ones((N, 1))}}, ValueError, r"obs\['plier'\] must have shape \(6,\)"),
    "category": ({"obs": {"plier": pd.Categorical(["a"])}}, ValueError, r"must have shape \(6,\), got \(1,\)"),
    "layer": ({"layers": {"plier": np.ones((P, N))}}, ValueError, r"must have shape \(6, 4\), got \(4, 6\)"),
    "nan": ({"obsm": {"plier": np.full((N, K), np.nan)}}, ValueError, "finite numbers only"),
    "text": ({"varm": {"plier": np.full((P, K), "a")}}, TypeError, "numbers, or one dimension of strings"),
    "foreign name": ({"obsm": {"X_pca": np.ones((N, K))}}, ValueError, "does not belong to the key 'plier'"),
    "slash": ({"obsm": {"plier_a/b": np.ones((N, K))}}, ValueError, "Use 'plier_a_b'"),
    "masked": ({"obsm": {"plier": np.ma.masked_array(np.ones((N, K)))}}, TypeError, "masked array"),
    "list": ({"uns": {"names": ["a"]}}, TypeError, r"uns\['plier'\]\['names'\] is of type list.*Allowed are"),
    "tuple": ({"uns": {"params": {"shape": (1, 2)}}}, TypeError, r"\['params'\]\['shape'\] is of type tuple"),
    "series": ({"uns": {"a": pd.Series([1])}}, TypeError, "of type Series"),
    "object": ({"uns": {"a": object()}}, TypeError, "of type object"),
    "mixed": ({"uns": {"a": np.array(["a", 1], dtype=object)}}, TypeError, "dtype object"),
    "text matrix": ({"uns": {"a": np.array([["a"]])}}, TypeError, "one dimension of strings"),
    "complex": ({"uns": {"a": np.ones(2, complex)}}, TypeError, "dtype complex"),
    "big": ({"uns": {"seed": 2**63}}, ValueError, "must fit 64 bits"),
    "gene as key": ({"uns": {"auc": {"HLA-A": 1.0}}}, ValueError, "letters, digits and underscores"),
    "number as key": ({"uns": {"auc": {1: 1.0}}}, TypeError, "must be a string, got 1"),
    "gene as column": ({"uns": {"t": pd.DataFrame({"a/b": [1]})}}, ValueError, "a column of .* letters, digits"),
    "wide": ({"uns": {"t": pd.DataFrame(np.ones((1, 65)))}}, ValueError, "65 columns, at most 64"),
    "two columns of a name": ({"uns": {"t": pd.DataFrame([[1, 2]], columns=["a", "a"])}}, ValueError, "unique column"),
    "mixed column": ({"uns": {"t": pd.DataFrame({"a": [1, "b"]})}}, TypeError, r"\['t'\]\['a'\] must hold numbers or"),
    "dates": ({"uns": {"t": pd.DataFrame({"a": pd.to_datetime(["2020"])})}}, TypeError, "datetime64"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_and_unchanged(name):
    changes, error, text = BAD[name]
    adata = make()
    before = snapshot(adata)
    with pytest.raises(error, match=text):
        commit(adata, result(**changes))
    assert snapshot(adata) == before


@pytest.mark.parametrize("key", ["", "a b", "é"])
def test_bad_key(key):
    with pytest.raises(ValueError, match="`key_added` must consist of letters"):
        commit(make(), Result(key))


def test_rolled_back_in_uns():
    class Uns(dict):
        def __setitem__(self, name, value):
            super().__setitem__(name, value)
            if isinstance(value, dict) and "kind" in value:
                raise KeyboardInterrupt

    adata = make()
    adata.uns = Uns(plier={"mine": 1})
    assert isinstance(adata.uns, Uns)
    before = snapshot(adata)
    with pytest.raises(KeyboardInterrupt):
        commit(adata, result())
    assert snapshot(adata) == before
    assert adata.uns["plier"] == {"mine": 1}


def test_a_failure_leaves_a_view_a_view(monkeypatch):
    adata = make()
    view = adata[:4]
    good = Result("k", obsm={"k": np.ones((4, 1))}, varm={"k": np.ones((P, 1))})
    monkeypatch.setattr(writer, "_columns_of", lambda *given: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        commit(view, replace(good, obs={"k_r2": np.ones(4)}))
    assert view.is_view
    assert "k" not in view.obsm
    assert "k" not in adata.obsm


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_backed(tmp_path, layout):
    adata = make()
    adata.X = layout(adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert commit(backed, result()) is None
    assert backed.isbacked
    assert "plier" in backed.obsm
    assert backed.uns["plier"]["kind"] == "plier"
    for target, copy in ((backed, True), (backed[:3], False), (backed[:3], True)):
        with pytest.raises(NotImplementedError, match=r"backed AnnData cannot be .* adata = adata.to_memory\(\)"):
            commit(target, Result("k"), copy=copy)
    loaded = backed.to_memory()
    commit(loaded, Result("k", uns={"kind": "x"}))
    backed.file.close()


def test_a_projection_never_replaces_a_fit():
    adata = make()
    commit(adata, result(uns={"kind": "plier", "model": {"a": 1}}))
    with pytest.raises(ValueError, match="holds a fitted model .kind 'plier'.*key_added='plier_projected'"):
        commit(adata, result(uns={"kind": "projection"}))
    with pytest.raises(ValueError, match="holds a fitted model"):
        check_target(adata, "plier", kind="projection")
    commit(adata, result(uns={"kind": "plier", "model": {"a": 2}}))
    commit(adata, result("other", uns={"kind": "projection"}))
    commit(adata, result("other", uns={"kind": "projection"}))
    assert adata.uns["plier"]["model"] == {"a": 2}


def test_target():
    with pytest.raises(TypeError, match="`adata` must be an AnnData"):
        check_target(3, "k")


def test_what_nobody_else_holds_is_not_copied():
    adata, latent = make(), np.ones((N, K), np.float32)
    commit(adata, result(obsm={"plier": latent}))
    assert not np.shares_memory(adata.obsm["plier"], latent)
    commit(adata, result(obsm={"plier": latent}, own=("plier",)))
    assert np.shares_memory(adata.obsm["plier"], latent)
    for bad, said in ((np.full((N, K), np.nan), "finite"), (np.ones((N + 1, K)), "shape")):
        with pytest.raises(ValueError, match=said):
            commit(adata, result(obsm={"plier": bad}, own=("plier",)))
