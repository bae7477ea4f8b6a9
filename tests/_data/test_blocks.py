"""Row sources give the same rows whatever holds the matrix, and never more than a block of them dense."""

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from omicstl._core.settings import settings
from omicstl._data import blocks
from omicstl._data.adata import read

N, P = 61, 37
COLUMNS = np.array([30, 2, 2, 7, 36, 0])
ROWS = np.array([5, 60, 0, 5, 17])


def matrix(dtype=np.float32):
    rng = np.random.default_rng(0)
    return (rng.poisson(0.7, size=(N, P)) * rng.integers(1, 5, size=(N, P))).astype(dtype)


LAYOUTS = {
    "dense": np.asarray,
    "fortran": np.asfortranarray,
    "csr": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "csc": sp.csc_matrix,
    "csc_array": sp.csc_array,
}


def check(source, x):
    dtype = np.float64 if x.dtype == np.float64 else np.float32
    assert (source.n_rows, source.n_cols, source.dtype) == (*x.shape, dtype)
    assert isinstance(source, blocks.RowSource)
    for size in (None, 1, 7, 1000):
        parts = list(source.blocks(size))
        assert all(part.dtype == dtype and part.flags.c_contiguous for part in parts)
        assert all(part.shape[0] <= (size or N) for part in parts)
        assert np.array_equal(np.concatenate(parts), x)
    for rows in (ROWS, np.arange(3, 20), np.zeros(0, dtype=int), ROWS < 10):
        rows = rows if rows.dtype != bool else np.arange(len(x)) % 3 == 0
        taken = source.take(rows)
        assert np.array_equal(taken, x[rows])
        assert taken.dtype == dtype
        taken += 1  # the caller owns it


def check_all(source, x):
    check(source, x)
    check(source.select(COLUMNS), x[:, COLUMNS])
    check(source.select(COLUMNS).select(np.array([5, 0])), x[:, [0, 30]])
    check(source.select(np.zeros(0, dtype=int)), x[:, :0])
    check(source, x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_in_memory(layout, dtype):
    x = matrix(dtype)
    held = LAYOUTS[layout](x)
    check_all(blocks.row_source(held), x)
    assert np.array_equal(held.toarray() if sp.issparse(held) else held, x)


def test_foreign_byte_order():
    check_all(blocks.row_source(matrix(">f4")), matrix())


@pytest.fixture(scope="module", params=["dense", "gzip", "csr", "csc"])
def backed_path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("backed") / f"{request.param}.h5ad"
    x = matrix() if request.param in ("dense", "gzip") else LAYOUTS[request.param](matrix())
    adata = ad.AnnData(x, layers={"twice": x * 2})
    adata.write_h5ad(path, compression="gzip" if request.param == "gzip" else None)
    return path


def test_backed(backed_path):
    adata = ad.read_h5ad(backed_path, backed="r")
    check_all(read(adata).rows, matrix())
    check_all(read(adata, layer="twice").rows, 2 * matrix())
    adata.file.close()


@pytest.mark.parametrize("rows", [slice(None), slice(3, 50, 2), [40, 1, 7, 20, 30, 9, *range(41, 61)], "mask"])
@pytest.mark.parametrize("columns", [slice(None), slice(0, None, 1), [3, 30, 4, *range(34)[5:29], 35, 36]])
def test_backed_views_read_the_file(backed_path, rows, columns):
    rows = np.arange(N) % 2 == 0 if isinstance(rows, str) else rows
    adata = ad.read_h5ad(backed_path, backed="r")
    view = adata[rows, columns]
    x = matrix()[rows][:, columns]
    source = read(view).rows
    assert isinstance(source, blocks.SubsetRows)
    assert np.array_equal(np.concatenate(list(source.blocks(5))), x)
    assert np.array_equal(source.take(np.array([3, 0, 3])), x[[3, 0, 3]])
    chosen = source.select(np.array([4, 1]))
    assert np.array_equal(np.concatenate(list(chosen.blocks())), x[:, [4, 1]])
    adata.file.close()


@pytest.mark.parametrize("layout", ["dense", "csr", "csc"])
def test_views(layout):
    adata = ad.AnnData(LAYOUTS[layout](matrix()))
    view = adata[::2, 5:20]
    source = read(view).rows
    assert np.array_equal(np.concatenate(list(source.blocks(4))), matrix()[::2, 5:20])
    assert view.is_view


def test_dask():
    da = pytest.importorskip("dask.array")
    x = matrix()
    lazy = da.from_array(x, chunks=(9, 10))
    source = blocks.row_source(lazy)
    check_all(source, x)
    assert [part.shape[0] for part in source.blocks(20)] == [18, 18, 18, 7]
    assert max(part.shape[0] for part in source.blocks(4)) == 4
    rows = da.from_array(sp.csr_matrix(x), chunks=(9, P)) if hasattr(da, "map_blocks") else lazy
    assert np.array_equal(np.concatenate(list(blocks.row_source(rows).select(COLUMNS).blocks(20))), x[:, COLUMNS])


class FakeDask:
    """As much of a dask array of rows in chunks as the source uses; counts what is computed."""

    def __init__(self, x, chunks, computed):
        self.x, self.chunks, self.computed = x, (chunks, (x.shape[1],)), computed
        self.shape, self.dtype = x.shape, x.dtype

    def __getitem__(self, rows):
        return FakeDask(self.x[rows], (), self.computed)

    def compute(self):
        self.computed.append(self.x.shape[0])
        return self.x


@pytest.mark.parametrize("held", [np.asarray, sp.csr_matrix])
def test_dask_computes_groups_of_chunks(held):
    x, computed = matrix(), []
    source = blocks.DaskRows(FakeDask(held(x), (9, 9, 1, 40, 2), computed))
    check(source, x)
    check(source.select(COLUMNS), x[:, COLUMNS])
    computed.clear()
    assert sum(len(part) for part in source.blocks(20)) == N
    assert computed == [19, 20, 20, 2]
    computed.clear()
    list(source.blocks(1000))
    assert computed == [61]


def test_zarr_array():
    zarr = pytest.importorskip("zarr")
    x = matrix()
    array = zarr.create_array(store={}, shape=x.shape, dtype=x.dtype, chunks=(10, 10))
    array[:] = x
    check_all(blocks.row_source(array), x)


def test_jax_array():
    jnp = pytest.importorskip("jax.numpy")
    check_all(blocks.row_source(jnp.asarray(matrix())), matrix())


def test_blocks_follow_the_memory_budget():
    source = blocks.row_source(matrix())
    with settings.override(block_bytes=8 * P * 128):
        assert len(list(source.blocks())) == 1
    with settings.override(block_bytes=1024):
        assert [len(part) for part in source.blocks()][:2] == [3, 3]
        # What is read has the full width, also when few columns are wanted.
        assert len(next(iter(source.select(np.array([0])).blocks()))) == 3
    assert blocks.block_rows(10**12) == 1


def test_blocks_protect_the_users_matrix():
    x = matrix()
    block = next(blocks.row_source(x).blocks())
    assert np.shares_memory(block, x)
    with pytest.raises(ValueError, match="read-only"):
        block += 1
    assert x.flags.writeable


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_sparse_is_never_dense_as_a_whole(layout, monkeypatch):
    source = blocks.row_source(LAYOUTS[layout](matrix()))
    kind = type(sp.csr_matrix((1, 1)))
    real, largest = kind.toarray, []

    def toarray(self, *args, **kwargs):
        largest.append(self.shape)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(kind, "toarray", toarray)
    for chosen in (source, source.select(COLUMNS)):
        list(chosen.blocks(8))
    assert max(rows for rows, _ in largest) == 8


def test_csc_becomes_csr_once(monkeypatch):
    source = blocks.row_source(sp.csc_matrix(matrix())).select(COLUMNS)
    count = []
    real = sp.csc_matrix.tocsr
    monkeypatch.setattr(sp.csc_matrix, "tocsr", lambda self, copy=False: count.append(self.shape) or real(self, copy))
    list(source.blocks(8))
    list(source.blocks(8))
    source.take(np.array([1]))
    assert count == [(N, len(COLUMNS))]


def test_backed_csc_reads_only_the_columns_asked_for(tmp_path, monkeypatch):
    x = sp.random(20, 1200, density=0.1, format="csc", rng=np.random.default_rng(0), dtype=np.float32)
    ad.AnnData(x).write_h5ad(tmp_path / "a.h5ad")
    adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    monkeypatch.setattr(type(adata.X), "to_memory", lambda self: pytest.fail("all columns were loaded"))
    columns = np.array([1100, 3, 600, 511, 512, 3])
    source = read(adata).rows.select(columns)
    assert np.array_equal(np.concatenate(list(source.blocks(7))), x.toarray()[:, columns])
    adata.file.close()


def test_duplicate_entries_of_sparse_add_up():
    x = sp.csr_matrix((np.ones(3, np.float32), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    assert np.array_equal(next(blocks.row_source(x).blocks()), [[2, 0], [0, 1]])


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (sp.coo_matrix(np.eye(2)), NotImplementedError, "coo.* not supported.*x.tocsr()"),
        ([[1.0]], NotImplementedError, "builtins.list are not supported.*numpy.asarray"),
        (np.ma.masked_array(np.eye(2)), NotImplementedError, "masked arrays"),
        (np.zeros(3), ValueError, r"two dimensions is needed, got shape \(3,\)"),
    ],
)
def test_refused(x, error, text):
    with pytest.raises(error, match=text):
        blocks.row_source(x)


@pytest.mark.parametrize(
    ("index", "error"),
    [([-1], IndexError), ([P], IndexError), ([0.5], TypeError), ([[0]], TypeError), (["a"], TypeError)],
)
def test_bad_positions(index, error):
    source = blocks.row_source(matrix())
    with pytest.raises(error, match="columns must be"):
        source.select(np.array(index))


def test_bad_size():
    with pytest.raises(ValueError, match="`size` must be >= 1, got 0"):
        next(blocks.row_source(matrix()).blocks(0))


def test_a_source_is_its_own_source():
    source = blocks.row_source(matrix())
    assert blocks.row_source(source) is source
