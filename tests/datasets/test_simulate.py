import numpy as np
import pytest

from omicstl._data.genesets import match, read_gene_sets
from omicstl.datasets import simulate_pathways


def test_shapes_and_types():
    adata, truth = simulate_pathways(n_obs=30, n_vars=200, n_sets=12, n_factors=3, n_query=7)
    assert adata.shape == (37, 200)
    assert adata.X.dtype == np.float32
    assert [truth.loadings.shape, truth.scores.shape, truth.weights.shape, truth.mean.shape] == [
        (200, 3),
        (37, 3),
        (12, 3),
        (200,),
    ]
    assert adata.obs["cohort"].tolist() == ["reference"] * 30 + ["query"] * 7
    assert all(array.dtype == np.float32 for array in truth[:4])


def test_without_noise_the_model_is_exact():
    adata, truth = simulate_pathways(noise=0.0, n_query=5)
    np.testing.assert_allclose(adata.X, truth.mean + truth.scores @ truth.loadings.T, atol=1e-5)


def test_loadings_follow_the_sets():
    adata, truth = simulate_pathways()
    sets = read_gene_sets(truth.gene_sets)
    matched = match(sets, adata.var_names)
    assert matched.names.tolist() == list(truth.gene_sets), "no set is below ten genes"
    assert matched.lost_genes.size == 0
    support = matched.membership.toarray() @ truth.weights > 0
    np.testing.assert_array_equal(truth.loadings[matched.columns] > 0, support)
    outside = np.setdiff1d(np.arange(adata.n_vars), matched.columns)
    assert outside.size >= 50
    assert not truth.loadings[outside].any()
    assert (truth.weights >= 0).all()
    assert ((truth.weights > 0).sum(axis=1) <= 1).all(), "no set drives two factors"
    assert set((truth.weights > 0).sum(axis=0)) <= {1, 2}


def test_same_seed_same_data():
    first, truth = simulate_pathways(rng=3)
    second, again = simulate_pathways(rng=3)
    other, _ = simulate_pathways(rng=4)
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(truth.weights, again.weights)
    assert truth.gene_sets == again.gene_sets
    assert not np.array_equal(first.X, other.X)


def test_the_reference_does_not_depend_on_the_query():
    alone, truth = simulate_pathways()
    both, with_query = simulate_pathways(n_query=20, query_offset=3.0)
    np.testing.assert_array_equal(both.X[:60], alone.X)
    np.testing.assert_array_equal(with_query.loadings, truth.loadings)
    np.testing.assert_array_equal(with_query.scores[:60], truth.scores)


def test_the_offset_shifts_genes():
    adata, _ = simulate_pathways(n_obs=200, n_query=200, query_offset=3.0)
    shift = adata.X[200:].mean(axis=0) - adata.X[:200].mean(axis=0)
    assert 2.5 < shift.std() < 3.5


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"n_obs": 0}, ValueError, "`n_obs` must be >= 1, got 0"),
        ({"n_vars": 20}, ValueError, "`n_vars` must be >= 50"),
        ({"n_sets": 4}, ValueError, "`n_sets` must be >= 5, got 4. Each factor needs a set of its own"),
        ({"noise": -1.0}, ValueError, "`noise` must be >= 0"),
        ({"n_query": 2.5}, TypeError, "`n_query` must be an integer"),
        ({"query_offset": np.nan}, ValueError, "`query_offset`"),
        ({"rng": "0"}, TypeError, "`rng` must be"),
    ],
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        simulate_pathways(**arguments)
