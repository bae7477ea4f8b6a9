"""The memory for a block of rows decides how much is read at a time, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl._core.settings import settings
from omicstl.kernels import stats
from omicstl.models.factors.autoencoder import rows as encoder_rows
from tests.contract.cases import CASES, FEW, Case, deepprofile, results

ROW_BY_ROW, SEVERAL = 2**10, 2**15
AGREE = 1e-6  # of the largest number of an array: sums of float32 products in another order


def numbers(value: Any, at: str) -> dict[str, np.ndarray]:
    """Arrays of numbers in what a verb has written, by their place."""
    if isinstance(value, pd.DataFrame):
        value = {name: value[name].to_numpy() for name in value}
    if isinstance(value, dict):
        return {place: array for key, one in value.items() for place, array in numbers(one, f"{at}/{key}").items()}
    array = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    return {at: array.astype(np.float64)} if array.dtype.kind in "fiub" else {}


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.passes], ids=lambda case: case.verb)
def test_blocks_of_another_size_give_the_same_numbers(case: Case) -> None:
    found = []
    for size in (settings.block_bytes, ROW_BY_ROW, SEVERAL):
        adata = case.make()
        with settings.override(block_bytes=size):
            case.call(adata)
        found.append(numbers(results(adata, case), ""))
    for other in found[1:]:
        assert set(other) == set(found[0])
        for place, array in found[0].items():
            largest = 1.0 if place.endswith("/gap") else np.nanmax(np.abs(array), initial=0)  # a gap is a share
            np.testing.assert_allclose(other[place], array, rtol=0, atol=AGREE * largest, err_msg=place)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_networks_are_the_same_bit_for_bit_wherever_their_rows_are(monkeypatch, dtype, batch_key) -> None:
    # Training turns a last bit of its data into a thousandth of its answer.
    monkeypatch.setattr(encoder_rows, "BLOCK_BYTES", 4 * 60 * 100)  # 100 rows, so that there are several blocks
    adata = otl.datasets.simulate_pathways(400, 60, n_sets=6, n_factors=3, n_query=4, rng=0)[0]
    adata.X = 5 + np.asarray(adata.X, dtype)
    adata.obs["batch"] = ["a", "b"] * (adata.n_obs // 2)
    found = []
    for size in (settings.block_bytes, ROW_BY_ROW, SEVERAL):
        mine = adata.copy()
        with settings.override(block_bytes=size):
            deepprofile(mine, batch_key=batch_key)
            otl.tl.vae(mine, n_factors=3, decoder="linear", hidden=(8,), training=FEW, batch_key=batch_key)
        found.append(mine)
    for other in found[1:]:
        for key in ("deepprofile", "vae"):
            np.testing.assert_array_equal(other.obsm[key], found[0].obsm[key])
            assert other.uns[key]["digest"] == found[0].uns[key]["digest"]


def test_strips_do_not_depend_on_the_blocks_that_they_are_cut_from() -> None:
    x = np.random.default_rng(0).normal(size=(53, 3))
    for sizes in ([53], [1] * 53, [10, 20, 23], [0, 7, 46]):
        edges = np.cumsum([0, *sizes])
        parts = list(stats.strips((x[low:high] for low, high in zip(edges[:-1], edges[1:], strict=True)), 10))
        assert [len(part) for part in parts] == [10, 10, 10, 10, 10, 3]
        np.testing.assert_array_equal(np.concatenate(parts), x)
    assert list(stats.strips(iter([]), 10)) == []
