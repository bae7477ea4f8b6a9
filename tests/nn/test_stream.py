"""Windows of rows against resident rows: the same bits, whatever the windows; what is read, and when."""

from __future__ import annotations

import threading
import time

import anndata as ad
import jax
import numpy as np
import pytest
import scipy.sparse as sp

from omicstl._core.random import streams
from omicstl._data.blocks import row_source
from omicstl.models.factors.autoencoder import training
from omicstl.nn import ensemble, stream, train
from tests.support.networks import SIZE, N, P, arrays, begin, finish, part_way, program, same

BATCH_BYTES = 12 * SIZE * P


class Counted:
    """Rows that remember what was asked of them."""

    def __init__(self, x, wait=0.0):
        self.x, self.wait, self.asked, self.threads = x, wait, [], set()
        self.n_rows, self.n_cols = x.shape

    def take(self, index):
        self.asked.append(np.array(index))
        self.threads.add(threading.get_ident())
        time.sleep(self.wait)
        return self.x[index]


def others():
    return {name: value for name, value in arrays().items() if name != "x"}


def streamed(p, state, rows, window_bytes, prepare=None, seconds=1.0):
    options = {} if prepare is None else {"prepare": prepare}
    for following in stream.stream(p, state, rows, others(), window_bytes=window_bytes, seconds=seconds, **options):
        state = following
    return jax.device_get(state)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5, 7, 1000])
def test_windows_give_the_bits_of_resident_rows(n_steps):
    p = program()
    rows = Counted(arrays()["x"])
    found = streamed(p, begin(p, 1), rows, n_steps * BATCH_BYTES)
    assert same(found, finish(p, begin(p, 1)))
    assert len(rows.asked) == -(-p.n_steps // n_steps)
    assert all((np.diff(index) > 0).all() for index in rows.asked), "sorted, and each row once"
    if n_steps == 5:  # an epoch is a window: every row is read once
        assert all(np.array_equal(index, np.arange(N)) for index in rows.asked)
    assert threading.get_ident() not in rows.threads


def test_early_stopping_and_divergence():
    for p in (program(patience=1, rate=0.8), program(rate=1e30)):
        found = streamed(p, begin(p), Counted(arrays()["x"]), 2 * BATCH_BYTES)
        assert int(found.step) < p.n_steps
        assert same(found, finish(p, begin(p)))


@pytest.mark.parametrize("n_steps", [3, 1000])
def test_it_goes_on_from_any_step(n_steps):
    p = program()
    whole = finish(p, begin(p))
    for step in (1, 6, 14, p.n_steps):
        rows = Counted(arrays()["x"])
        state = jax.tree.map(jax.numpy.asarray, part_way(p, 0, step))
        assert same(streamed(p, state, rows, n_steps * BATCH_BYTES), whole)
        assert (len(rows.asked) == 0) == (step == p.n_steps)


def test_chunks_do_not_matter():
    p = program()
    assert same(streamed(p, begin(p), Counted(arrays()["x"]), 4 * BATCH_BYTES, seconds=0.0), finish(p, begin(p)))


def test_a_window_is_compiled_once():
    p = program()
    streamed(p, begin(p), Counted(arrays()["x"]), 4 * BATCH_BYTES)
    before = train._advance._cache_size()
    streamed(p, begin(p, 5), Counted(arrays()["x"]), 4 * BATCH_BYTES)
    assert train._advance._cache_size() == before


def test_what_was_read_is_prepared():
    x = arrays()["x"]
    mean, scale = x.mean(axis=0) + 1, np.array([1.0, 2.0, 0.5, 3.0], np.float32)
    p = program()
    found = streamed(p, begin(p), Counted(x.astype(np.float64)), 3 * BATCH_BYTES, lambda block: (block - mean) / scale)
    state = begin(p)
    ready = ((x.astype(np.float64) - mean) / scale).astype(np.float32)
    for following in train.train(p, state, {**others(), "x": ready}):
        state = following
    assert same(found, state)


@pytest.mark.parametrize("kind", ["csr", "csc", "h5ad", "h5ad csr", "dask", "view"])
def test_every_layout(kind, tmp_path):
    x = np.maximum(arrays()["x"], 0)
    adata = ad.AnnData(sp.csr_matrix(x) if "csr" in kind else x.copy())
    if kind == "csc":
        adata.X = sp.csc_matrix(x)
    if kind.startswith("h5ad"):
        adata.write_h5ad(tmp_path / "a.h5ad")
        adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    if kind == "dask":
        adata.X = pytest.importorskip("dask.array").from_array(x, chunks=(6, 4))
    source = row_source(adata[np.arange(N)].X if kind == "view" else adata.X)
    p = program()
    found = streamed(p, begin(p), source, 3 * BATCH_BYTES)
    state = begin(p)
    for following in train.train(p, state, {**others(), "x": x}):
        state = following
    assert same(found, state)


def test_the_network_of_deepprofile():
    """With batch normalisation, a short last batch, and covariates by row if there are any."""
    x = np.random.default_rng(0).normal(size=(33, 12)).astype(np.float32)
    config = training.VaeProgram(n_in=12, n_latent=3, hidden=(8, 5), n_rows=33, batch_size=8, n_epochs=3)
    p = training.program(config)
    states = []
    for made in (
        train.train(p, training.begin(config, streams(0), 0), {"x": x}),
        stream.stream(p, training.begin(config, streams(0), 0), Counted(x), {}, window_bytes=3 * 12 * 8 * 12),
    ):
        for state in made:
            last = state
        states.append(jax.device_get(last))
    assert same(*states)


def test_reading_and_computing_overlap():
    """The next window is asked for before the present one has been used up."""
    p = program()
    rows = Counted(arrays()["x"])
    seen = []
    for state in stream.stream(p, begin(p), rows, others(), window_bytes=5 * BATCH_BYTES, seconds=0.0):
        deadline = time.monotonic() + 5
        window = (int(state.step) - 1) // 5
        while len(rows.asked) < min(window + 2, 6) and time.monotonic() < deadline:
            time.sleep(0.001)
        seen.append((window, len(rows.asked)))
    assert all(asked == min(window + 2, 6) for window, asked in seen)


def test_an_error_while_reading_is_raised():
    class Broken(Counted):
        def take(self, index):
            if len(self.asked) == 2:
                msg = "the file is gone"
                raise OSError(msg)
            return super().take(index)

    p = program()
    with pytest.raises(OSError, match="the file is gone"):
        streamed(p, begin(p), Broken(arrays()["x"]), 5 * BATCH_BYTES)


def test_whoever_stops_listening_stops_the_reading():
    p = program()
    rows = Counted(arrays()["x"], wait=0.01)
    before = threading.active_count()
    made = stream.stream(p, begin(p), rows, others(), window_bytes=BATCH_BYTES)
    next(made)
    made.close()
    assert threading.active_count() == before
    assert len(rows.asked) <= 2


def test_rows_do_not_come_twice():
    p = program()
    with pytest.raises(ValueError, match="must not hold 'x'"):
        next(stream.stream(p, begin(p), Counted(arrays()["x"]), arrays()))


def test_members_of_an_ensemble_stream_each_by_itself():
    p = program()
    rows, found, steps = Counted(arrays()["x"]), {}, []

    def loop(program, state, data):
        return stream.stream(program, state, rows, data, window_bytes=4 * BATCH_BYTES)

    ensemble.run(p, lambda i: begin(p, i), [0, 1, 2], others(), found.__setitem__, steps.append, at_once=2, loop=loop)
    assert all(same(found[i], finish(p, begin(p, i))) for i in range(3))
    assert sum(steps) == 3 * p.n_steps
