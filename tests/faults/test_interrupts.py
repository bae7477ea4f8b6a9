"""Ctrl-C at any line of any way to write: the object is as it was, or all is written; it is never something between."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from snapshots import changes, snapshot

from omicstl._data import commit as writer
from omicstl._data.commit import Result, commit, keep_variables, replace_variables

N, P = 6, 5


def make() -> AnnData:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"group": pd.Categorical(list("aabbcc"))}, index=[f"s{i}" for i in range(N)])
    adata = AnnData(random.normal(size=(N, P)).astype(np.float32), obs=obs)
    adata.var_names = [f"g{i}" for i in range(P)]
    adata.layers["log"] = adata.X * 2
    adata.raw = adata
    adata.obsm["k"], adata.obsm["k_sd"] = np.zeros((N, 2)), np.zeros((N, 2))
    adata.varm["k"], adata.obs["k_old"] = np.zeros((P, 2)), np.arange(N, dtype=float)
    adata.uns["k"] = {"kind": "old"}
    return adata


def result(n: int = N, p: int = P) -> Result:
    return Result(
        "k",
        obs={"k_r2": np.ones(n, np.float32)},
        var={"k": np.arange(p)},
        obsm={"k": np.ones((n, 3), np.float32)},
        layers={"k": np.ones((n, p), np.float32)},
        uns={"kind": "new"},
        drop=(("obsm", "k_sd"), ("varm", "k"), ("obs", "k_old")),
    )


def in_place() -> tuple[AnnData, Callable[[AnnData], Any]]:
    return make(), lambda adata: commit(adata, result())


def on_a_view() -> tuple[AnnData, Callable[[AnnData], Any]]:
    whole = ad.concat([make(), make()], index_unique="-", merge="same", uns_merge="same")
    return whole[:N], lambda adata: commit(adata, result())


def fewer_variables() -> tuple[AnnData, Callable[[AnnData], Any]]:
    return make(), lambda adata: keep_variables(adata, np.array([3, 0]))


def other_variables() -> tuple[AnnData, Callable[[AnnData], Any]]:
    def call(adata: AnnData) -> None:
        replace_variables(adata, Result("m", uns={"kind": "m"}), np.array([1, 2]), np.array(["x", "y"], object))

    return make(), call


def new_matrices() -> tuple[AnnData, Callable[[AnnData], Any]]:
    def call(adata: AnnData) -> None:
        x = {None: np.ones((N, 2), np.float32), "log": np.ones((N, 2), np.float32)}
        replace_variables(
            adata, Result("m", uns={"kind": "m"}), np.array([1, 2]), np.array(["x", "y"], object), matrices=x
        )

    return make(), call


def interrupted(call: Callable[[AnnData], Any], adata: AnnData, at: int) -> bool:
    """Run `call`, and press Ctrl-C at the line of the writer's file that is the `at`-th to be run."""
    seen = 0

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != writer.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == at:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(adata)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


WAYS = (in_place, on_a_view, fewer_variables, other_variables, new_matrices)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_interrupt_at_any_line_leaves_all_or_nothing(way):
    adata, call = way()
    before = snapshot(adata)
    call(adata)
    after = snapshot(adata)
    assert changes(before, after)
    outcomes = []
    for at in range(1, 10_000):
        adata, call = way()
        if not interrupted(call, adata, at):
            break
        found = snapshot(adata)
        outcomes.append(not changes(before, found))
        assert outcomes[-1] or not changes(after, found), f"line {at}"
        again = adata.copy()
        assert again.shape == adata.shape
        assert (again.raw is None) == (adata.raw is None)
        if outcomes[-1]:  # and once more, to the end
            call(adata)
            assert not changes(after, snapshot(adata))
    assert len(outcomes) > 10
    assert outcomes[0]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_was_written_in_one_step_is_an_ordinary_object(way, tmp_path):
    adata, call = way()
    obs, uns = adata.obs, adata.uns
    call(adata)
    if way is in_place:
        assert adata.obs is obs
        assert adata.uns is uns
        assert "k_r2" in obs
        np.testing.assert_array_equal(obs["k_r2"], 1)
    assert not adata.is_view
    assert not adata.isbacked
    adata.obs["more"] = 1
    adata.obs_names = [f"t{i}" for i in range(adata.n_obs)]
    if adata.raw is not None:
        assert adata.raw.obs_names.tolist() == adata.obs_names.tolist()
        assert adata.raw.to_adata().shape == (N, P)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    assert again.shape == adata.shape
    adata.filename = tmp_path / "b.h5ad"  # to a file, and back
    assert adata.isbacked
    assert adata[:2].to_memory().n_obs == 2
    adata.file.close()


def test_a_column_that_was_looked_at_is_not_the_old_one():
    adata = make()
    adata.obs["k_r2"] = 0.0
    assert adata.obs["k_r2"].sum() == 0
    commit(adata, result())
    assert adata.obs["k_r2"].sum() == N
    commit(adata, Result("k", obs={"k_r2": np.full(N, 2.0)}))
    assert adata.obs["k_r2"].sum() == 2 * N
    assert adata.obs.loc["s0", "k_r2"] == 2
