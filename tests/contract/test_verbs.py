"""What every verb promises of its input and output: layouts, copies, slots, failures."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl._core.registry import records
from omicstl._data import blocks
from tests.contract._house import public_functions
from tests.contract.cases import CASES, results
from tests.support.snapshots import changes, leaves, snapshot

every_verb = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
READERS = {name: case for name, case in CASES.items() if case.passes}
every_reader = pytest.mark.parametrize("case", READERS.values(), ids=READERS)
#: Layouts give the same float32 values in the same blocks; dask adds up other blocks.
RELATIVE = 1e-4


@pytest.fixture(scope="module")
def expected():
    """The answer of every verb on dense data, and the object it was given."""
    found = {}
    for name, case in CASES.items():
        adata = case.make()
        assert case.call(adata) is None
        found[name] = adata
    return found


def assert_same(found, wanted, case):
    for slot, value in results(wanted, case).items():
        here = leaves(results(found, case)[slot])
        for path, array in leaves(value).items():
            got = here[path]
            if path in ("/digest", "/reference/digest", "/params/layer"):
                continue
            if sp.issparse(got):
                got = got.toarray()
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" or isinstance(array, float):
                scale = np.nanmax(np.abs(array), initial=1e-3) if np.size(array) else 1
                np.testing.assert_allclose(got, array, atol=RELATIVE * scale, rtol=RELATIVE, err_msg=slot + path)
            else:
                np.testing.assert_array_equal(got, array, err_msg=slot + path)


def test_every_verb_has_a_case():
    assert set(CASES) == {name for name, _ in public_functions(("tl", "pp"))}
    verbs = {row.verb for row in records().values()}
    assert {verb for verb in verbs if not verb.startswith("io.")} <= set(CASES)  # readers have tests of their own


LAYOUTS = {"csr": sp.csr_matrix, "csr array": sp.csr_array, "csc": sp.csc_matrix, "csc array": sp.csc_array}


@every_verb
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sparse_gives_the_answer_of_dense(case, layout, expected):
    adata = case.make()
    adata.X = LAYOUTS[layout](adata.X)
    before = adata.X.copy()
    case.call(adata)
    assert_same(adata, expected[case.verb], case)
    if case.key:
        assert type(adata.X) is type(before)
        assert (before != adata.X).nnz == 0


@every_verb
def test_a_view_gives_the_answer_and_becomes_actual(case, expected):
    whole = case.make()
    parent = ad.concat([whole, whole[:5]], index_unique="-")
    parent.uns = whole.uns
    parent.obs_names = [*whole.obs_names, *(f"more {i}" for i in range(5))]
    before = snapshot(parent)
    view = parent[: whole.n_obs]
    assert case.call(view) is None
    assert not view.is_view
    assert_same(view, expected[case.verb], case)
    assert not changes(before, snapshot(parent))


@every_reader
def test_a_layer_gives_the_answer_of_x(case, expected):
    adata = case.make()
    adata.layers["log"] = adata.X
    adata.X = np.zeros_like(adata.X)
    case.call(adata, layer="log")
    assert_same(adata, expected[case.verb], case)


@every_verb
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix, sp.csc_matrix], ids=["dense", "csr", "csc"])
def test_backed_gives_the_answer_of_memory(case, layout, expected, tmp_path):
    adata = case.make()
    adata.X = layout(adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    try:
        if not case.backed:
            with pytest.raises(NotImplementedError, match=r"backed AnnData.*adata = adata.to_memory\(\)"):
                case.call(backed)
            return
        assert case.call(backed) is None
        assert backed.isbacked
        assert_same(backed, expected[case.verb], case)
        with pytest.raises(NotImplementedError, match=r"backed AnnData.*adata = adata.to_memory\(\)"):
            case.call(backed, copy=True)
    finally:
        backed.file.close()


@every_reader
def test_dask_gives_the_answer_of_memory(case, expected):
    da = pytest.importorskip("dask.array")
    adata = case.make()
    adata.X = da.from_array(adata.X, chunks=(7, 50))
    case.call(adata)
    assert_same(adata, expected[case.verb], case)
    assert isinstance(adata.X, da.Array)


@every_verb
def test_copy_leaves_the_input_and_returns_the_same(case, expected):
    adata = case.make()
    before = snapshot(adata)
    new = case.call(adata, copy=True)
    assert not changes(before, snapshot(adata))
    assert new is not adata
    # the same seed gives the same answer, bit for bit
    assert not changes(snapshot(expected[case.verb]), snapshot(new))
    if case.key:
        assert not np.shares_memory(new.X, adata.X)


@every_verb
def test_slots_are_those_of_the_record(case, expected):
    adata = expected[case.verb]
    if not case.key:
        return
    new = changes(snapshot(case.make()), snapshot(adata))
    top = {"/".join(path.split("/")[:2]) for path in new} - {"obs", "var", "uns"}
    assert top == {slot.format(key=case.key) for slot in case.writes}


@every_reader
def test_arrays_are_plain_and_owned(case, expected):
    adata = expected[case.verb]
    for slot, value in results(adata, case).items():
        room = slot.split("/")[0]
        if room in ("obsm", "varm", "layers"):
            assert value.dtype == np.float32
        for path, array in leaves(value).items():
            if hasattr(array, "__array__"):
                assert type(array) is np.ndarray, slot + path
                if room not in ("obs", "var") and np.ndim(array) and "summary" not in path and "/factors/" not in path:
                    assert array.flags.c_contiguous, slot + path
                if room in ("obsm", "varm", "layers"):
                    assert array.flags.writeable, slot
                    assert array.flags.owndata, slot
    assert not any(type(v).__module__.startswith("jax") for v in leaves(dict(adata.uns)).values())


@every_verb
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_in_the_middle_changes_nothing(case, layout, error, monkeypatch):
    adata = case.make()
    adata.X = layout(adata.X)
    adata.obs["mine"] = 1.0
    before = snapshot(adata)

    def broken(*args, **kwargs):
        raise error(case.verb)

    monkeypatch.setattr(case.breaks, broken)
    with pytest.raises(error, match=case.verb):
        case.call(adata)
    assert not changes(before, snapshot(adata))


@every_verb
def test_the_number_of_passes_is_the_documented_one(case, monkeypatch):
    passes = []
    real = blocks._Rows.blocks

    def counted(self, size=None):
        passes.append(self.n_rows)
        return real(self, size)

    monkeypatch.setattr(blocks._Rows, "blocks", counted)
    adata = case.make()
    case.call(adata)
    assert len(passes) == case.passes


@every_reader
def test_blocks_do_not_change_the_answer(case, expected):
    """A memory budget for three rows at a time."""
    adata = case.make()
    with otl.settings.override(block_bytes=8 * 200 * 3):
        case.call(adata)
    assert_same(adata, expected[case.verb], case)
