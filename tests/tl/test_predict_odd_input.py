"""`tl.predict` with cells that are not as the fit's: empty, few, of another normalisation, of another scale than stated."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl._core.log import ScaleWarning, TransferWarning
from tests.support.snapshots import changes, snapshot

OPTIONS = {"drugs": ["response"], "sensitive": "sensitive", "lineage_key": "tissue", "safeguard": False}
LEVELS = {
    "linear": (otl.tl.ResponseRidge(align="none", n_members=3, n_comps=20, smoothing=1.0), None),
    "network": (
        otl.tl.ResponseNetwork(term=None, n_members=2, hidden=(8,), n_latent=4, n_comps=20, smoothing=1.0),
        otl.tl.Training(epochs=5, batch_size=40),
    ),
}


@pytest.fixture(scope="module", params=["linear", "network"])
def fitted(request):
    """A fit on 150 cells, and 40 new ones."""
    cells, lines, _ = otl.datasets.simulate_drug_response(100, 190, 300, rng=4)
    fit, (level, training) = cells[:150].copy(), LEVELS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        otl.tl.scdeal(fit, lines, level=level, training=training, **OPTIONS)
    return fit, cells[150:].copy()


def logs(counts, total=1e4):
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * total).astype(np.float32)


def with_values(cells, x):
    out = cells[: len(x)].copy()
    out.X = x
    return out


def refused(cells, fit, match, **options):
    before = snapshot(cells)
    with pytest.raises(ValueError, match=match):
        otl.tl.predict(cells, fit, **options)
    assert not changes(before, snapshot(cells))


def test_counts_and_their_logs_give_the_same_without_a_word(fitted):
    fit, new = fitted
    counts = new.copy()
    otl.tl.predict(counts, fit)
    of_logs = with_values(new, logs(new.X.toarray()))
    otl.tl.predict(of_logs, fit)
    np.testing.assert_allclose(of_logs.obs["scdeal_score"], counts.obs["scdeal_score"], atol=1e-4)
    assert of_logs.uns["scdeal"]["params"]["n_empty"] == 0


@pytest.mark.parametrize("total", [1e6, 1e3])
def test_logs_of_another_total_are_doubted(fitted, total):
    fit, new = fitted
    with pytest.warns(ScaleWarning, match="brought to another total") as found:
        otl.tl.predict(with_values(new, logs(new.X.toarray(), total)), fit)
    (said,) = [str(w.message) for w in found if w.category is ScaleWarning]
    told = float(said.split("about ")[1].split(" ")[0])
    assert total / 1e4 / 1.6 < told < total / 1e4 * 1.6


def test_logs_of_base_two_are_doubted(fitted):
    fit, new = fitted
    with pytest.warns(ScaleWarning, match="another base"):
        otl.tl.predict(with_values(new, logs(new.X.toarray()) / np.log(2)), fit)


def test_logs_of_raw_counts_are_doubted(fitted):
    fit, new = fitted
    with pytest.warns(ScaleWarning, match="logs of whole numbers.*normalize_total"):
        otl.tl.predict(with_values(new, np.log1p(new.X.toarray())), fit)
    one = with_values(new, np.log1p(new.X.toarray()[:1]))
    with pytest.warns(ScaleWarning, match="logs of whole numbers"):
        otl.tl.predict(one, fit)


@pytest.mark.parametrize("depth", [800.0, 16000.0])
def test_another_depth_is_no_other_total(fitted, depth):
    fit, _ = fitted
    cells, _, _ = otl.datasets.simulate_drug_response(10, 100, 300, rng=4, depth=depth)
    of_logs = with_values(cells, logs(cells.X.toarray()))
    otl.tl.predict(of_logs, fit)  # a warning would be an error
    assert np.isfinite(of_logs.obs["scdeal_score"]).all()


def test_cells_without_a_value_are_named_and_uncertain(fitted):
    fit, new = fitted
    x = logs(new.X.toarray())
    x[:3] = 0
    cells = with_values(new, x)
    with pytest.warns(TransferWarning, match="3 of 40 cells hold nothing but zeros.*filter_cells"):
        otl.tl.predict(cells, fit)
    assert (cells.obs["scdeal_call"][:3] == "uncertain").all()
    assert cells.uns["scdeal"]["params"]["n_empty"] == 3
    assert np.isfinite(cells.obs["scdeal_score"]).all()
    refused(with_values(new, np.zeros_like(x)), fit, "nothing but zeros on the genes of the fit", scale="log")


def test_counts_on_none_of_the_genes_of_the_fit(fitted):
    fit, new = fitted
    genes = otl.get.model(fit).features
    other = new[:, :20].copy()
    other.var_names = [f"OTHER{i}" for i in range(20)]
    x = np.hstack([new.X.toarray(), other.X.toarray() + 1])
    x[0, : new.n_vars] = 0
    cells = ad.AnnData(x, new.obs[[]].copy())
    cells.var_names = [*new.var_names, *other.var_names]
    assert set(genes) <= set(new.var_names)
    with pytest.warns(TransferWarning, match="1 of 40 cells hold nothing but zeros"):
        otl.tl.predict(cells, fit)
    x[0] = 0
    refused(ad.AnnData(x, new.obs[[]].copy(), cells.var), fit, "1 of 40 cells have no counts at all")


def test_one_cell_is_scored_as_among_others(fitted):
    fit, new = fitted
    alone = new[4:5].copy()
    otl.tl.predict(alone, fit)
    few = new[:6].copy()
    otl.tl.predict(few, fit)
    np.testing.assert_allclose(alone.obsm["scdeal"][0], few.obsm["scdeal"][4], atol=1e-4)
    assert 0 <= alone.obs["scdeal_novelty"].iloc[0] <= 1
    assert alone.obs["scdeal_novelty"].iloc[0] == pytest.approx(few.obs["scdeal_novelty"].iloc[4], abs=1e-4)
    none = new[:0]
    with pytest.raises(ValueError, match="0 observations"):
        otl.tl.predict(none, fit)


def test_single_cells_of_the_same_tumour_are_not_far(fitted):
    fit, new = fitted
    found = []
    for i in range(0, 40, 10):
        part = new[i : i + 10].copy()
        otl.tl.predict(part, fit)
        found.append(part.obs["scdeal_novelty"].to_numpy())
    assert np.concatenate(found).mean() < 0.85
    assert (np.concatenate(found) > 0.99).mean() < 0.15


def test_a_scale_that_the_values_rule_out_is_refused(fitted):
    fit, new = fitted
    refused(new.copy(), fit, "raw counts", scale="log")
    refused(with_values(new, logs(new.X.toarray())), fit, "holds no counts", scale="counts")
    refused(new.copy(), fit, "fit was made on counts", scale="zscore")
    z = logs(new.X.toarray())
    refused(with_values(new, z - z.mean(axis=0)), fit, "negative values")


def test_few_cells_in_the_mask(fitted):
    fit, new = fitted
    cells = new.copy()
    cells.obs["tumour"] = np.arange(40) < 4
    refused(cells, fit, "10 are needed, got 4 in adata.obs\\['tumour'\\]", standardize="query", mask_obs="tumour")
    otl.tl.predict(cells, fit, mask_obs="tumour")
    assert (cells.obs["scdeal_call"][4:] == "uncertain").all()
    cells.obs["tumour"] = False
    otl.tl.predict(cells, fit, mask_obs="tumour")
    assert (cells.obs["scdeal_call"] == "uncertain").all()


def test_values_that_are_not_finite(fitted):
    fit, new = fitted
    x = new.X.toarray()
    x[2, 5] = np.inf
    refused(with_values(new, x), fit, "1 infinite value")


def test_genes_of_another_species(fitted):
    fit, new = fitted
    cells = new.copy()
    cells.var_names = [f"ENSMUSG{i:011d}" for i in range(new.n_vars)]
    refused(cells, fit, "No gene is shared")
