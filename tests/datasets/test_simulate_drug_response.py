import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from omicstl.datasets import simulate_drug_response

HARD = {"state_separation": 1.2, "shift": 1.5, "depth": 1500.0}


def standardized(x):
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 1e-6, spread, 1.0)


def log_expression(cells):
    counts = cells.X.toarray().astype(np.float64)
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def logistic_auroc(cells, lines):
    fit = LogisticRegression(C=1e-3, max_iter=500).fit(standardized(lines.X), lines.obs["response"] == "sensitive")
    return roc_auc_score(cells.obs["sensitive"], fit.decision_function(standardized(log_expression(cells))))


def test_shapes_types_and_names():
    cells, lines, truth = simulate_drug_response(40, 50, 60, n_drugs=4, n_tissues=5)
    assert cells.shape == (50, 60)
    assert lines.shape == (40, 60)
    assert cells.var_names.tolist() == lines.var_names.tolist()
    assert sp.issparse(cells.X)
    assert cells.X.format == "csr"
    assert cells.X.dtype == lines.X.dtype == np.float32
    counts = cells.X.toarray()
    np.testing.assert_array_equal(counts, np.round(counts))
    assert counts.min() >= 0
    assert list(cells.obs) == ["sensitive", "clone", "cycling"]
    assert list(lines.obs) == ["tissue", "laboratory", "ln_ic50", "response"]
    assert lines.obs["tissue"].cat.categories.size == 5
    assert truth.drugs.tolist() == lines.uns["ln_ic50_names"].tolist() == ["drug_1", "drug/2", "drug_3", "drug_4"]
    shapes = {name: getattr(truth, name).shape for name in truth._fields}
    assert shapes == {
        "drugs": (4,),
        "loadings": (60, 24),
        "weights": (24, 4),
        "tissue_response": (5, 4),
        "line_programmes": (40, 24),
        "cell_programmes": (50, 24),
        "line_score": (40, 4),
        "cell_score": (50, 4),
        "offset": (60,),
    }
    assert all(array.dtype == np.float32 for array in truth[1:])


@pytest.mark.parametrize(("options", "bar"), [({}, 0.95), (HARD, 0.79), ({**HARD, "target_sensitive": 0.8}, 0.79)])
def test_a_logistic_regression_reaches_what_it_should(options, bar):
    drawn = [simulate_drug_response(rng=seed, **options) for seed in range(2)]
    found = [logistic_auroc(cells, lines) for cells, lines, _ in drawn]
    oracle = [roc_auc_score(cells.obs["sensitive"], truth.cell_score[:, 0]) for cells, _, truth in drawn]
    assert np.mean(found) > bar
    assert max(found) < min(oracle)
    assert all(score > (0.98 if not options else 0.9) for score in oracle)


def test_lines_follow_the_model():
    _, lines, truth = simulate_drug_response(3000, 5, 400, n_tissues=4, rng=2)
    laboratory = lines.obs["laboratory"].cat.codes.to_numpy()
    level = lines.X[laboratory == 0]
    design = np.column_stack([truth.line_programmes, pd.get_dummies(lines.obs["tissue"]).to_numpy(float)])
    loud = np.flatnonzero(np.quantile(level, 0.001, axis=0) > 3)  # there log2(1 + 2^x) is x
    assert loud.size >= 10
    fitted = np.linalg.lstsq(design[laboratory == 0], level[:, loud], rcond=None)[0]
    np.testing.assert_allclose(fitted[:24].T, truth.loadings[loud], atol=0.06)
    residual = level[:, loud] - design[laboratory == 0] @ fitted
    np.testing.assert_allclose(residual.std(axis=0), 0.35, atol=0.03)
    # the second laboratory saturates: the same programmes move its genes by three quarters
    second = np.linalg.lstsq(design[laboratory == 1], lines.X[laboratory == 1][:, loud], rcond=None)[0]
    moved = np.abs(truth.loadings[loud]) > 0.3
    assert moved.any()
    assert np.median(second[:24].T[moved] / fitted[:24].T[moved]) == pytest.approx(0.75, abs=0.03)


def test_genes_are_spread_as_stated():
    _, _, truth = simulate_drug_response(4, 5, 5000, shift=1.5)
    loaded = truth.loadings != 0
    assert loaded.mean() == pytest.approx(0.06, abs=0.003)
    assert truth.loadings[loaded].std() == pytest.approx(0.7, abs=0.02)
    assert truth.offset.std() == pytest.approx(1.5, abs=0.05)


def test_the_response_of_lines():
    _, lines, truth = simulate_drug_response(4000, 5, 50, n_tissues=3, rng=4, tissue_effect=2.0)
    np.testing.assert_array_equal(lines.obsm["ln_ic50"][:, 0], lines.obs["ln_ic50"])
    np.testing.assert_allclose(truth.line_score, truth.line_programmes @ truth.weights, atol=1e-5)
    assert (np.flatnonzero(truth.weights[:, 0]) == [0, 1, 2]).all()
    assert ((np.abs(truth.weights[:3]) >= 0.8) & (np.abs(truth.weights[:3]) <= 1.2)).all()
    tissue = truth.tissue_response[lines.obs["tissue"].cat.codes.to_numpy(), 0]
    noise = 2.0 - lines.obs["ln_ic50"] - truth.line_score[:, 0] - tissue
    assert noise.mean() == pytest.approx(0.0, abs=0.05)
    assert noise.std() == pytest.approx(0.8, abs=0.03)
    sensitive = lines.obs["response"] == "sensitive"
    assert sensitive.sum() == 1000
    assert lines.obs["ln_ic50"][sensitive].max() < lines.obs["ln_ic50"][~sensitive].min()


def test_cells_are_apart_along_the_response_only():
    cells, _, truth = simulate_drug_response(4, 6000, 50, state_separation=1.5, target_sensitive=0.7, rng=1)
    direction = truth.weights[:, 0] / np.linalg.norm(truth.weights[:, 0])
    sensitive = cells.obs["sensitive"].to_numpy()
    assert sensitive.mean() == pytest.approx(0.7, abs=0.02)
    along = truth.cell_programmes @ direction
    assert along[sensitive].mean() - along[~sensitive].mean() == pytest.approx(1.5, abs=0.06)
    assert along[sensitive].std() == pytest.approx(0.6, abs=0.03)
    by_clone = [along[(cells.obs["clone"] == name) & sensitive].mean() for name in cells.obs["clone"].cat.categories]
    np.testing.assert_allclose(by_clone, 0.75, atol=0.08)
    centres = pd.DataFrame(truth.cell_programmes).groupby(cells.obs["clone"].to_numpy()).mean().to_numpy()
    assert min(np.linalg.norm(centres[i] - centres[j]) for i in range(3) for j in range(i)) > 4
    assert cells.obs["cycling"].mean() == pytest.approx(0.3, abs=0.03)


def test_depth_and_overdispersion():
    cells, _, _ = simulate_drug_response(4, 3000, 400, depth=900.0, clone_separation=0.0, state_separation=0.0)
    counts = cells.X.toarray()
    totals = counts.sum(axis=1)
    assert np.median(totals) == pytest.approx(900, rel=0.05)
    assert np.log(totals).std() == pytest.approx(0.4, abs=0.08)
    frequent = counts.mean(axis=0) > 2
    mean, variance = counts[:, frequent].mean(axis=0), counts[:, frequent].var(axis=0)
    # gamma rates of dispersion 0.4, a log-normal depth and programmes: at least mean + 0.4 mean^2
    assert ((variance - mean) / mean**2 > 0.4).all()


def test_offset_is_what_the_platforms_differ_by():
    near, _, _ = simulate_drug_response(4, 2000, 300, shift=0.0, rng=3)
    far, _, truth = simulate_drug_response(4, 2000, 300, shift=1.0, rng=3)
    sums = [np.asarray(a.X.sum(axis=0)).ravel() for a in (near, far)]
    seen = (sums[0] > 500) & (sums[1] > 500)
    change = np.log2(sums[1][seen] / sums[0][seen])
    assert np.corrcoef(change, truth.offset[seen])[0, 1] > 0.97


def test_whole_clones_respond():
    cells, _, _ = simulate_drug_response(20, 900, 50, response_by="clone", n_clones=4)
    table = pd.crosstab(cells.obs["clone"], cells.obs["sensitive"])
    assert ((table > 0).sum(axis=1) == 1).all()
    assert (table > 0).sum(axis=0).tolist() == [2, 2]


def test_parts_of_clones_respond():
    cells, _, truth = simulate_drug_response(20, 4000, 50, response_by="subclone", state_separation=2.0)
    table = pd.crosstab(cells.obs["subclone"], cells.obs["sensitive"])
    assert table.shape == (6, 2)
    assert ((table > 0).sum(axis=1) == 1).all()
    shares = cells.obs.groupby("clone", observed=True)["sensitive"].mean()
    assert shares.min() < 0.3
    assert shares.max() > 0.8
    assert cells.obs["sensitive"].mean() == pytest.approx(0.55, abs=0.04)
    centres = pd.DataFrame(truth.cell_programmes).groupby(cells.obs["subclone"].to_numpy()).mean()
    for clone in shares.index:  # the two parts are apart by the state and by little else
        gap = np.linalg.norm(centres.loc[f"{clone}_sensitive"] - centres.loc[f"{clone}_resistant"])
        assert gap == pytest.approx(2.0, abs=0.3)


def test_several_drugs_share_a_general_sensitivity():
    _, lines, truth = simulate_drug_response(3000, 5, 50, n_drugs=6, unmeasured=0.2, tissue_effect=0.0)
    response = -lines.obsm["ln_ic50"]
    assert np.isnan(response).mean(axis=0) == pytest.approx([0, 0.2, 0.2, 0.2, 0.2, 0.2], abs=0.03)
    assert not np.isnan(response[:, 0]).any()
    between = pd.DataFrame(response).corr().to_numpy()[np.triu_indices(6, 1)]
    # half of 3 weights^2 is common to all; all of it and the noise 0.64 make the variance
    assert np.median(between) == pytest.approx(1.5 / 3.64, abs=0.12)
    own = truth.line_score - truth.line_score.mean(axis=1, keepdims=True)
    left = np.corrcoef(own.T)[np.triu_indices(6, 1)]
    assert np.abs(left).max() < 0.8, "each drug has something of its own"


def test_lines_and_cells_do_not_depend_on_each_other():
    cells, lines, truth = simulate_drug_response(30, 40, 60, rng=7)
    more_cells, same_lines, _ = simulate_drug_response(30, 90, 60, rng=7, shift=2.0, state_separation=0.5)
    same_cells, more_lines, same = simulate_drug_response(80, 40, 60, rng=7)
    np.testing.assert_array_equal(lines.X, same_lines.X)
    pd.testing.assert_frame_equal(lines.obs, same_lines.obs)
    np.testing.assert_array_equal(cells.X.toarray(), same_cells.X.toarray())
    np.testing.assert_array_equal(truth.loadings, same.loadings)
    assert more_cells.n_obs == 90
    assert more_lines.n_obs == 80


def test_same_seed_same_data():
    cells, lines, _ = simulate_drug_response(10, 30, 60, rng=3)
    again, again_lines, _ = simulate_drug_response(10, 30, 60, rng=3)
    other, _, _ = simulate_drug_response(10, 30, 60, rng=4)
    np.testing.assert_array_equal(cells.X.toarray(), again.X.toarray())
    np.testing.assert_array_equal(lines.X, again_lines.X)
    assert (cells.X != other.X).nnz


def test_cells_are_made_in_blocks(monkeypatch):
    whole, _, _ = simulate_drug_response(10, 3000, 50, rng=3)
    monkeypatch.setattr("omicstl.datasets._drug_response_parts._BLOCK", 700)
    parts, _, _ = simulate_drug_response(10, 3000, 50, rng=3)
    assert parts.shape == whole.shape
    pd.testing.assert_frame_equal(parts.obs, whole.obs)
    np.testing.assert_array_equal(parts.X[:700].toarray().sum(axis=1) > 0, True)
    sums = [np.asarray(a.X.mean(axis=0)).ravel() for a in (whole, parts)]
    np.testing.assert_allclose(sums[0], sums[1], rtol=0.1, atol=0.5)


def test_files_hold_it(tmp_path):
    cells, lines, _ = simulate_drug_response(10, 12, 60, n_drugs=2)
    for name, adata in [("cells", cells), ("lines", lines)]:
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    back = ad.read_h5ad(tmp_path / "lines.h5ad")
    np.testing.assert_array_equal(back.obsm["ln_ic50"], lines.obsm["ln_ic50"])
    assert back.uns["ln_ic50_names"].tolist() == ["drug_1", "drug/2"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"n_lines": 3}, ValueError, "`n_lines` must be >= 4, got 3"),
        ({"n_cells": 0}, ValueError, "`n_cells` must be >= 1"),
        ({"n_vars": 20}, ValueError, "`n_vars` must be >= 50"),
        ({"n_drugs": 1.5}, TypeError, "`n_drugs` must be an integer"),
        ({"source_sensitive": 0}, ValueError, "`source_sensitive` must be > 0 and < 1"),
        ({"target_sensitive": 1.1}, ValueError, "`target_sensitive` must be >= 0 and <= 1"),
        ({"unmeasured": 1.0}, ValueError, "`unmeasured` must be >= 0 and < 1"),
        ({"depth": 0}, ValueError, "`depth` must be > 0"),
        ({"shift": -1.0}, ValueError, "`shift` must be >= 0"),
        ({"state_separation": np.nan}, ValueError, "`state_separation`"),
        ({"response_by": "clones"}, ValueError, "`response_by` must be one of .*Did you mean 'clone'"),
        ({"response_by": "clone", "n_clones": 1}, ValueError, "`n_clones` must be >= 2, got 1. Whole clones"),
        ({"rng": "0"}, TypeError, "`rng` must be"),
    ],
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        simulate_drug_response(**arguments)
