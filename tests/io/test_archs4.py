"""ARCHS4 files of every layout, written here, read lazily in bounded blocks."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import anndata as ad
import h5py
import numpy as np
import pytest
from archs4_files import N_GENES, N_SAMPLES, expected_counts, write

import omicstl as otl
from omicstl._data.blocks import row_source
from omicstl.io._archs4_file import CountFile, block_sizes

pytest.importorskip("dask.array")


@pytest.mark.parametrize("version", ["1.8", "2.1", "2.2", "2.6"])
def test_every_layout_gives_the_counts(tmp_path, version):
    adata = otl.io.read_archs4(write(tmp_path / "a.h5", version=version))
    keep = np.arange(N_SAMPLES) % 5 != 4
    np.testing.assert_array_equal(adata.X.compute(), expected_counts()[keep])
    assert adata.obs_names.tolist() == [f"GSM{i + 1}" for i in np.flatnonzero(keep)]
    assert adata.X.dtype == np.uint32
    assert adata.obs["series_id"].tolist()[0] == "GSE1"
    assert "contact_name" not in adata.obs
    if version >= "2.2":
        assert adata.var_names[1] == "ENSG00000000001"
        assert adata.var["symbol"].iloc[1] == "GENE1"
        assert adata.var["biotype"].iloc[1] == "protein_coding"
        assert adata.obs["alignedreads"].iloc[2] == 2e5
    else:
        assert adata.var_names[1] == "GENE1"
    assert adata.uns["archs4"]["params"]["file_version"] == version


def test_the_first_layout_is_samples_by_genes_and_knows_no_single_cells(tmp_path):
    file = write(tmp_path / "human_matrix.h5", version="1.0", series_id=["GSE1Xx-xXGSE2"] * N_SAMPLES)
    with pytest.warns(UserWarning, match="which samples are single cells.*max_single_cell=None"):
        adata = otl.io.read_archs4(file)
    np.testing.assert_array_equal(adata.X.compute(), expected_counts())
    capped = otl.io.read_archs4(file, max_single_cell=None, max_per_series=4)
    assert capped.n_obs == 4
    square = write(tmp_path / "square.h5", expected_counts(12, 12), version="1.0", chunks=(3, 4))
    np.testing.assert_array_equal(otl.io.read_archs4(square, max_single_cell=None).X.compute(), expected_counts(12, 12))
    with pytest.warns(UserWarning, match="how many reads were aligned"):
        assert otl.io.read_archs4(square, max_single_cell=None, min_reads=5).n_obs == 12


def test_nothing_is_read_before_it_is_used(archs4_path, reads):
    adata = otl.io.read_archs4(archs4_path, pattern="blood")
    view = adata[:, :5]
    assert reads == []
    np.testing.assert_array_equal(view[3].X.compute(), expected_counts()[[7], :5])
    assert len(reads) == 1


@pytest.mark.parametrize("chunks", [(16, 7), (40, 1), (5, 30), None])
def test_blocks_are_whole_chunks_and_bounded(tmp_path, chunks, reads):
    file = write(tmp_path / "a.h5", chunks=chunks)
    with otl.settings.override(block_bytes=8 * N_GENES * 10):
        adata = otl.io.read_archs4(file, max_single_cell=None)
        assert max(adata.X.chunks[0]) <= 10
        assert len(adata.X.chunks[1]) == 1
        total = sum(block.astype(np.int64).sum() for block in row_source(adata.X).blocks())
    assert total == expected_counts().sum(dtype=np.int64)
    assert max(reads) <= 4 * N_GENES * 10
    assert sum(reads) == expected_counts().nbytes  # each count once
    if chunks == (16, 7):
        assert adata.X.chunks[0] == (7, 7, 7, 9)


def test_a_read_is_bounded_in_genes_too(tmp_path, reads, monkeypatch):
    monkeypatch.setattr("omicstl.io._archs4_file._READ_BYTES", 16 * 4 * N_SAMPLES)
    adata = otl.io.read_archs4(write(tmp_path / "a.h5"), max_single_cell=None)
    np.testing.assert_array_equal(adata.X.compute(), expected_counts())
    assert max(reads) == 16 * 4 * N_SAMPLES


def test_chosen_samples_skip_chunks_that_nobody_wants(tmp_path, reads):
    counts = expected_counts(200)
    adata = otl.io.read_archs4(
        write(tmp_path / "a.h5", counts), samples=["GSM3", "GSM5", "gsm170 "], max_single_cell=None
    )
    np.testing.assert_array_equal(adata.X.compute(), counts[[2, 4, 169]])
    assert sorted(reads) == [4 * N_GENES, 3 * 4 * N_GENES]


def test_any_order_and_repeated_rows(archs4_path):
    adata = otl.io.read_archs4(archs4_path, max_single_cell=None)
    rows = [21, 3, 3, 29, 0]
    np.testing.assert_array_equal(adata.X[rows].compute(), expected_counts()[rows])
    np.testing.assert_array_equal(adata[::-2, [7, 2]].X.compute(), expected_counts()[::-2][:, [7, 2]])
    assert adata.X[:0].compute().shape == (0, N_GENES)


@pytest.mark.parametrize(("width", "most"), [(7, 10), (1, 10), (30, 10), (64, 1000)])
def test_block_sizes(width, most):
    positions = np.flatnonzero(np.random.default_rng(width).random(500) < 0.4)
    sizes = block_sizes(positions, width, most)
    assert sum(sizes) == len(positions)
    assert min(sizes) > 0
    assert max(sizes) <= most
    if width <= most:
        edges = np.cumsum(sizes)[:-1]
        assert np.all(positions[edges] // width != positions[edges - 1] // width)  # no chunk is read for two blocks


def test_rules_and_what_they_drop(archs4_path):
    blood = [i for i in range(N_SAMPLES) if i % 2 or i % 10 == 0]
    adata = otl.io.read_archs4(archs4_path, pattern=r"WHOLE blood|\bpbmc\b", min_reads=1_000_000, max_per_series=3)
    entry = adata.uns["archs4"]
    assert entry["dropped"]["pattern"] == N_SAMPLES - len(blood)
    bulk = [i for i in blood if i % 5 != 4]
    assert entry["dropped"]["single_cell"] == len(blood) - len(bulk)
    enough = [i for i in bulk if i >= 10]
    assert entry["dropped"]["min_reads"] == len(bulk) - len(enough)
    assert entry["dropped"]["series"] == len(enough) - 6
    assert adata.obs["series_id"].value_counts().to_dict() == {"GSE2": 3, "GSE3": 3}
    assert entry["n_in_file"] - sum(entry["dropped"].values()) == adata.n_obs == entry["n_obs"] == 6
    np.testing.assert_array_equal(adata.X.compute(), expected_counts()[[int(n[3:]) - 1 for n in adata.obs_names]])


def test_the_limit_of_single_cells_is_excluded_and_unknown_is_kept(tmp_path):
    probability = np.full(N_SAMPLES, 0.5)
    probability[:3] = [0.49, np.nan, 0.51]
    file = write(tmp_path / "a.h5", singlecellprobability=probability)
    assert otl.io.read_archs4(file).obs_names.tolist() == ["GSM1", "GSM2"]
    assert otl.io.read_archs4(file, max_single_cell=None).n_obs == N_SAMPLES


def test_the_subset_of_a_series_is_seeded_and_independent_of_others(archs4_path):
    one, two = (otl.io.read_archs4(archs4_path, max_per_series=4, max_single_cell=None, rng=0) for _ in range(2))
    assert one.obs_names.equals(two.obs_names)
    other = otl.io.read_archs4(archs4_path, max_per_series=4, max_single_cell=None, rng=1)
    assert not one.obs_names.equals(other.obs_names)
    wanted = [f"GSM{i}" for i in range(11, 21)]
    alone = otl.io.read_archs4(archs4_path, max_per_series=4, max_single_cell=None, samples=wanted)
    assert alone.obs_names.tolist() == [n for n in one.obs_names if n in wanted]


def test_a_sample_counts_in_each_of_its_series(tmp_path):
    series = ["GSE1,GSE9" if i < 10 else "GSE2,GSE9" if i < 20 else "" for i in range(N_SAMPLES)]
    adata = otl.io.read_archs4(write(tmp_path / "a.h5", series_id=series), max_per_series=5, max_single_cell=None)
    assert adata.obs["series_id"].astype(str).str.contains("GSE9").sum() == 5
    assert (adata.obs["series_id"] == "").sum() == 10  # of no series: no limit


def test_accessions_that_are_not_there_are_told(archs4_path, caplog):
    with otl.settings.override(verbosity=2):
        adata = otl.io.read_archs4(archs4_path, samples=["GSM2", "GSM9999"])
    assert adata.obs_names.tolist() == ["GSM2"]
    assert adata.uns["archs4"]["n_not_found"] == 1
    assert "1 of 30 samples kept (dropped: samples 29; accessions not found: 1)" in caplog.text


def test_repeated_accessions_and_symbols(tmp_path):
    names = [f"GSM{i + 1}" for i in range(N_SAMPLES - 1)] + ["GSM1"]
    file = write(tmp_path / "a.h5", version="2.1", geo_accession=names, genes=["A", "A", *map(str, range(2, N_GENES))])
    with pytest.warns(UserWarning, match=r"no unique names: 'A'.*map_features") as caught:
        adata = otl.io.read_archs4(file, max_single_cell=None)
    assert sum("unique" in str(warning.message) for warning in caught) == 1  # anndata says it no second time
    assert adata.n_obs == N_SAMPLES - 1
    assert adata.uns["archs4"]["dropped"]["repeated"] == 1


def test_blocks_read_in_threads_after_pickling(archs4_path):
    adata = otl.io.read_archs4(archs4_path, max_single_cell=None)
    again = pickle.loads(pickle.dumps(adata.X))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: again[i : i + 5].compute(scheduler="sync"), range(25)))
    for i, block in enumerate(found):
        np.testing.assert_array_equal(block, expected_counts()[i : i + 5])


def test_processes_read_on_their_own(archs4_path):
    adata = otl.io.read_archs4(archs4_path, max_single_cell=None)
    total = adata.X.sum(axis=1).compute(scheduler="processes", num_workers=2)
    np.testing.assert_array_equal(total, expected_counts().sum(axis=1))


@pytest.mark.slow
def test_workers_of_a_cluster(archs4_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        adata = otl.io.read_archs4(archs4_path, max_single_cell=None)
        np.testing.assert_array_equal((adata.X.T @ adata.X).compute(), expected_counts().T @ expected_counts())


def test_another_file_under_the_same_name_is_another_array(tmp_path):
    first = otl.io.read_archs4(write(tmp_path / "a.h5"), max_single_cell=None).X
    second = otl.io.read_archs4(write(tmp_path / "a.h5", expected_counts(seed=1)), max_single_cell=None).X
    assert first.name != second.name


def test_round_trip(archs4_path, tmp_path):
    adata = otl.io.read_archs4(archs4_path, pattern="blood", max_per_series=2)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.X, adata.X.compute())
    assert back.uns["archs4"]["params"]["min_reads"] is None
    assert back.uns["archs4"]["dropped"] == adata.uns["archs4"]["dropped"]
    assert otl.cite(back).split("\n\n")[0] == otl.cite(adata).split("\n\n")[0]


def test_cite(archs4_path):
    text = otl.cite(otl.io.read_archs4(archs4_path, pattern="blood|PBMC", max_per_series=2))
    assert "@article{Lachmann2018," in text
    assert "ARCHS4 (Lachmann et al., 2018), file human_gene_v2.6.h5: 6 of its 30 samples" in text
    assert "match the expression 'blood|PBMC', without samples whose probability to be of single cells is 0.5" in text
    assert "at most 2 samples of a series (seed 0)" in text
    assert "(not recorded)" not in text
    assert "series" not in otl.cite(otl.io.read_archs4(archs4_path)).split("\n\n")[0]


def test_the_reader_alone(archs4_path):
    from omicstl.io._archs4_file import layout

    with h5py.File(archs4_path) as file:
        found = layout(file, "a")
    counts = CountFile(archs4_path, found, np.array([5, 2]))
    assert counts.shape == (2, N_GENES)
    np.testing.assert_array_equal(counts[:], expected_counts()[[5, 2]])
    np.testing.assert_array_equal(counts[1:, 3:6], expected_counts()[[2], 3:6])


def test_a_file_with_accessions_alone(tmp_path):
    fields = ("series_id", "title", "source_name_ch1", "characteristics_ch1", "singlecellprobability", "alignedreads")
    drop = [f"meta/samples/{name}" for name in (*fields, "contact_name")]
    file = write(tmp_path / "a.h5", drop=drop)
    with pytest.warns(UserWarning, match="to which series.*max_per_series=None"):
        adata = otl.io.read_archs4(file, max_single_cell=None, max_per_series=1)
    assert adata.shape == (N_SAMPLES, N_GENES)
    assert adata.obs.shape[1] == 0


def test_chunks_wider_than_a_block_are_told(tmp_path, caplog):
    file = write(tmp_path / "a.h5", chunks=(5, 30))
    with otl.settings.override(block_bytes=8 * N_GENES * 10, verbosity=2):
        otl.io.read_archs4(file, max_single_cell=None)
    assert f"block_bytes = {8 * N_GENES * 30:,}" in caplog.text
    caplog.clear()
    with otl.settings.override(block_bytes=8 * N_GENES * 30, verbosity=2):
        assert otl.io.read_archs4(file, max_single_cell=None).X.chunks[0] == (30,)
    assert "block_bytes" not in caplog.text
