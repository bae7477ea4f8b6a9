"""`pp.gene_modules` beyond the contract of all verbs: beside numpy, scipy and scikit-learn, its order, and bad input."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

import omicstl as otl
from omicstl.kernels import kmeans
from omicstl.pp import _gene_modules as verb
from tests.contract.cases import cohort
from tests.support.refusals import refused, renamed

KEY = "gene_modules"


def run(adata, **options):
    otl.pp.gene_modules(adata, **{"n_modules": 10, **options})
    return adata


@pytest.fixture(scope="module")
def done():
    return run(cohort(), n_top_genes=120)


def zscores(adata):
    x = adata.X.astype(np.float64)
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def test_genes_with_the_largest_deviation_are_kept(done):
    deviation = stats.median_abs_deviation(done.X.astype(np.float64), axis=0)
    wanted = np.sort(np.argsort(-deviation, kind="stable")[:120])
    np.testing.assert_array_equal(np.flatnonzero(done.var[KEY] > 0), wanted)
    assert (np.delete(done.var[KEY].to_numpy(), wanted) == -1).all()
    assert otl.get.model(done).features.tolist() == done.var_names[wanted].tolist()


def test_scores_are_the_means_of_z_scores(done):
    z, number = zscores(done), done.var[KEY].to_numpy()
    for i in range(10):
        wanted = np.mean([z[:, j] for j in np.flatnonzero(number == i + 1)], axis=0)
        np.testing.assert_allclose(done.obsm[KEY][:, i], wanted, atol=1e-6)


def test_what_is_told_of_modules_is_so(done):
    r, number = np.corrcoef(done.X.T.astype(np.float64)), done.var[KEY].to_numpy()
    table = done.uns[KEY]["factors"]
    for i in range(10):
        genes = np.flatnonzero(number == i + 1)
        pairs = [r[a, b] for a in genes for b in genes if a < b]
        row = table.iloc[i]
        assert row["n_genes"] == genes.size
        np.testing.assert_allclose(row["within_r"], np.mean(pairs) if pairs else np.nan, atol=1e-6)
        to_mean = np.array([np.corrcoef(done.X[:, g], done.obsm[KEY][:, i])[0, 1] for g in genes])
        np.testing.assert_allclose(done.varm[KEY][genes, i], to_mean, atol=1e-5)
        assert row["top_genes"].split(", ")[0] == done.var_names[genes[to_mean.argmax()]]
        assert len(row["top_genes"].split(", ")) == min(10, genes.size)
    outside = done.varm[KEY].copy()
    outside[number > 0, number[number > 0] - 1] = 0
    assert not outside.any()


def test_modules_are_numbered_by_size_and_then_by_their_first_gene(done):
    number = done.var[KEY].to_numpy()
    order = [(-np.sum(number == i + 1), np.argmax(number == i + 1)) for i in range(10)]
    assert order == sorted(order)
    assert done.uns[KEY]["names"].tolist() == [f"module {i}" for i in range(1, 11)]


def test_it_is_as_good_as_scikit_learn(done):
    from sklearn.cluster import KMeans

    z = zscores(done)[:, done.var[KEY] > 0].T
    theirs = 1 - KMeans(10, n_init=5, random_state=0).fit(z).inertia_ / np.sum(z**2)
    labels = done.var[KEY][done.var[KEY] > 0].to_numpy()
    between = sum(np.sum(labels == i) * np.sum(z[labels == i].mean(axis=0) ** 2) for i in range(1, 11))
    assert done.uns[KEY]["explained"] == pytest.approx(between / np.sum(z**2), rel=1e-5)
    assert done.uns[KEY]["explained"] > theirs - 0.005


def test_sets_that_drive_the_data_are_modules():
    adata, truth = otl.datasets.simulate_pathways(80, 300, n_sets=3, n_factors=3, noise=0.3, rng=1)
    run(adata, n_modules=20)
    number = adata.var[KEY].to_numpy()
    driven = (truth.loadings > 0).argmax(axis=1)[(truth.loadings > 0).sum(axis=1) == 1]
    found = number[(truth.loadings > 0).sum(axis=1) == 1]
    pure = [np.bincount(driven[found == m]).max() for m in np.unique(found)]
    assert sum(pure) / driven.size > 0.95


@pytest.mark.parametrize("n_top_genes", [None, 120])
def test_many_genes_and_few_observations_give_the_same(n_top_genes, monkeypatch):
    """Coordinates instead of correlations: other memory, the same modules."""
    one = run(cohort(), n_top_genes=n_top_genes)
    made = []
    real = kmeans.Coordinates
    monkeypatch.setattr(verb, "MANY_GENES", 100)
    monkeypatch.setattr(kmeans, "Coordinates", lambda rows: made.append(rows.shape) or real(rows))
    two = run(cohort(), n_top_genes=n_top_genes)
    assert made == [(n_top_genes or 200, 40)]
    np.testing.assert_array_equal(one.var[KEY], two.var[KEY])
    np.testing.assert_allclose(one.uns[KEY]["explained"], two.uns[KEY]["explained"], rtol=1e-5)


def test_medians_are_taken_of_whole_columns_in_parts(monkeypatch):
    """Memory for 15 genes at a time: 14 parts, each of all observations."""
    sizes = []
    real = verb.median_absolute_deviation
    monkeypatch.setattr(verb, "median_absolute_deviation", lambda rows: sizes.append(rows.shape) or real(rows))
    with otl.settings.override(block_bytes=8 * 40 * 15):
        adata = run(cohort(), n_top_genes=120)
    assert sizes == [*[(15, 40)] * 13, (5, 40)]
    np.testing.assert_array_equal(adata.var[KEY], run(cohort(), n_top_genes=120).var[KEY])


def test_the_scale_and_the_order_of_observations_do_not_matter():
    adata, other = cohort(), cohort()[::-1].copy()
    other.X = (3 * other.X - 7).astype(np.float32)
    one, two = run(adata), run(other)
    np.testing.assert_array_equal(one.var[KEY], two.var[KEY])
    np.testing.assert_allclose(one.obsm[KEY], two.obsm[KEY][::-1], atol=1e-4)


def test_genes_that_mirror_each_other_are_apart():
    adata = cohort()
    adata.X[:, 1] = -adata.X[:, 0]
    run(adata)
    assert adata.var[KEY].iloc[0] != adata.var[KEY].iloc[1]


def test_genes_of_one_value_are_left_out():
    adata = cohort()
    adata.X[:, [3, 50]] = 2.0
    with pytest.warns(
        UserWarning, match="2 genes with one value in all observations left out of the modules: 'GENE004', 'GENE051'"
    ):
        run(adata)
    np.testing.assert_array_equal(np.flatnonzero(adata.var[KEY] == -1), [3, 50])
    assert not adata.varm[KEY][[3, 50]].any()


def test_single_cells_have_deviations_of_zero():
    """More than half of the values are zeros: the standard deviation decides, and a warning says so."""
    rng = np.random.default_rng(0)
    x = np.log1p(rng.poisson(0.2, (60, 100)) * rng.uniform(1, 3, 100)).astype(np.float32)
    x[:, :20] = rng.normal(3, 1, (60, 20))
    adata = ad.AnnData(sp.csr_matrix(x))
    with pytest.warns(UserWarning, match="30 of the 50 genes kept have a median absolute deviation of 0"):
        run(adata, n_top_genes=50)
    spread = x.std(axis=0, dtype=np.float64)
    wanted = {*range(20), *(20 + np.argsort(-spread[20:])[:30])}
    assert set(np.flatnonzero(adata.var[KEY] > 0)) == wanted


def test_it_is_what_get_and_cite_read(done):
    factors = otl.get.factors(done)
    assert factors.shape == (40, 10)
    assert factors.var["top_genes"].iloc[0] == done.uns[KEY]["factors"]["top_genes"].iloc[0]
    np.testing.assert_array_equal(otl.get.loadings(done).to_numpy(), done.varm[KEY][done.var[KEY] > 0])
    assert repr(otl.get.model(done)) == "GeneModules: 120 genes in 10 modules, learnt from 40 observations"
    text = otl.cite(done)
    assert "(120 genes, 10 modules, 40 observations, seed 0), of the 120 genes with the largest median" in text
    assert "@article{Dincer2018" in text


def test_a_second_run_replaces_the_first():
    adata = run(run(cohort()), n_modules=7, rng=3)
    assert adata.obsm[KEY].shape == (40, 7)
    assert adata.uns[KEY]["params"]["seed"] == "3"


def test_no_end_is_a_warning(monkeypatch):
    monkeypatch.setattr(verb, "MAX_ITER", 1)
    monkeypatch.setattr(verb, "N_STARTS", 1)
    adata = cohort()
    with pytest.warns(otl.ConvergenceWarning, match="still moved genes after 1 iterations"):
        run(adata, n_modules=20)
    assert adata.uns[KEY]["converged"] is False


def changed(x):
    adata = cohort()
    adata.X = x(adata.X.copy())
    return adata


def put(value):
    def change(x):
        x[3, 2] = value
        return x

    return change


def twice(x):
    x[:, 5:] = x[:, :1]
    return x


BAD = {
    "NaN": (lambda: changed(put(np.nan)), {}, ValueError, ["1 NaN value", "'S04'", "'GENE003'"]),
    "infinite": (lambda: changed(put(np.inf)), {}, ValueError, ["1 infinite value"]),
    "huge": (lambda: changed(put(1e20)), {}, ValueError, ["overflow"]),
    "counts": (lambda: changed(lambda x: np.round(2**x)), {}, otl.ScaleWarning, ["raw counts", "sc.pp.log1p"]),
    "boolean": (lambda: changed(lambda x: x > 9), {}, TypeError, ["dtype bool"]),
    "two observations": (lambda: cohort()[:2].copy(), {}, ValueError, ["at least 3 observations, got 2", "otl.tl.project"]),
    "names": (lambda: renamed(cohort(), lambda n: [*n[:-1], n[0]]), {}, ValueError, ["not unique"]),
    "constant": (lambda: changed(np.ones_like), {}, ValueError, ["n_modules=10 is more than the 0 genes that vary", "200 have one value"]),
    "too few genes": (lambda: cohort()[:, :9].copy(), {}, ValueError, ["n_modules=10 is more than the 9 genes", "n_modules=9 at most"]),
    "equal genes": (lambda: changed(twice), {}, ValueError, ["200 genes have only 5 different profiles", "n_modules=5 at most"]),
    "too many modules": (cohort, {"n_modules": 201}, ValueError, ["n_modules=201 is more than the 200 genes that vary"]),
    "more modules than genes kept": (cohort, {"n_top_genes": 9}, ValueError, ["n_modules=10 is more than n_top_genes=9"]),
    "too many genes": (cohort, {"n_top_genes": 300}, ValueError, ["n_top_genes=300 is more than the 200 genes that vary"]),
    "no module": (cohort, {"n_modules": 0}, ValueError, ["`n_modules` must be >= 1, got 0"]),
    "half a module": (cohort, {"n_modules": 2.5}, TypeError, ["`n_modules` must be an integer"]),
    "no gene": (cohort, {"n_top_genes": 0}, ValueError, ["`n_top_genes` must be >= 1", "None keeps all"]),
    "a share of genes": (cohort, {"n_top_genes": 0.5}, TypeError, ["`n_top_genes` must be an integer"]),
    "layer": (cohort, {"layer": "log"}, KeyError, ["'log' not found in adata.layers"]),
    "key": (cohort, {"key_added": "a b"}, ValueError, ["letters, digits and underscores"]),
    "seed": (cohort, {"rng": -1}, ValueError, ["`rng` must be >= 0"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    make, options, error, words = BAD[name]
    refused(otl.pp.gene_modules, make(), error, words, **{"n_modules": 10, **options})


def test_a_projection_is_not_overwritten(done):
    other = cohort()
    other.uns[KEY] = {"kind": "projection"}
    refused(otl.pp.gene_modules, other, ValueError, ["holds a projection"], n_modules=10)
