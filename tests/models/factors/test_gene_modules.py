"""The model of gene modules: means, what parts of a module tell of it, and stored forms that are damaged."""

from __future__ import annotations

import numpy as np
import pytest

import omicstl as otl
from omicstl.models.factors import gene_modules
from omicstl.models.factors.projection import Standardised
from omicstl.models.kinds import from_dict
from tests.contract.cases import cohort


@pytest.fixture(scope="module")
def fitted():
    adata = cohort()
    otl.pp.gene_modules(adata, n_modules=9)
    return adata


@pytest.fixture(scope="module")
def model(fitted):
    return otl.get.model(fitted)


def z_of(model, adata):
    return ((adata.X - model.mean) / model.scale).astype(np.float32)


@pytest.mark.parametrize("missing", ["model", "mean"])
def test_means_of_the_genes_that_are_there(model, fitted, missing):
    z = z_of(model, fitted)
    present = np.random.default_rng(0).permutation(200)[:60]
    found = model.embed(z[:, present], present, missing)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    for i in range(9):
        genes = [j for j in present if model.labels[j] == i]
        n = len(genes) if missing == "model" else np.sum(model.labels == i)
        wanted = sum((z[:, j].astype(np.float64) for j in genes), np.zeros(40)) / max(n, 1)
        np.testing.assert_allclose(found[:, i], wanted, atol=1e-6)


def test_all_genes_are_the_scores_of_the_fit(model, fitted):
    np.testing.assert_array_equal(model.embed(z_of(model, fitted)), fitted.obsm["gene_modules"])


def test_a_part_of_a_module_agrees_with_the_whole_as_expected():
    """Genes of a module that correlate alike: the closed form against 4,000 observations."""
    rng = np.random.default_rng(0)
    sizes, share = (30, 12, 5), 0.3
    labels = np.repeat(np.arange(3), sizes)
    z = np.sqrt(share) * rng.normal(size=(4000, 3))[:, labels] + np.sqrt(1 - share) * rng.normal(size=(4000, 47))
    model = gene_modules.GeneModules(
        features=np.array([f"g{i}" for i in range(47)], dtype=object),
        names=np.array(["module 1", "module 2", "module 3"], dtype=object),
        mean=np.zeros(47),
        scale=np.ones(47),
        labels=labels,
        with_module=np.full(47, 0.6, np.float32),
        within=np.full(3, share),
        n_obs=4000,
    )
    present = np.r_[0:7, 30:33]
    part = gene_modules.panel(model, present, "model")
    quality = gene_modules.factor_quality(model, part)
    whole, some = model.embed(z), model.embed(z[:, present], present)
    for i in range(2):
        both = np.cov(whole[:, i], some[:, i])
        assert quality.expected_r[i] == pytest.approx(np.corrcoef(whole[:, i], some[:, i])[0, 1], abs=0.02)
        assert quality.expected_slope[i] == pytest.approx(both[0, 1] / both[0, 0], abs=0.05)
    assert quality.expected_r[2] == quality.expected_slope[2] == quality.present_loading[2] == 0
    np.testing.assert_allclose(quality.present_loading[:2], [7 / 30, 3 / 12], rtol=1e-6)
    zeros = gene_modules.factor_quality(model, gene_modules.panel(model, present, "mean"))
    np.testing.assert_allclose(zeros.expected_slope, [7 / 30, 3 / 12, 0])

    rows = Standardised([z[:, present]], 4000, np.zeros(10), np.ones(10), np.zeros(10))
    scored = gene_modules.score_rows(model, rows, part, [np.arange(10)])
    size = np.sum(z[:, present] ** 2, axis=1)
    assert np.sum(scored.r2 * size) / np.sum(size) == pytest.approx(gene_modules.expected_r2(model, part), abs=0.02)
    np.testing.assert_allclose(scored.r2, scored.r2_null)  # a permutation that moves nothing


def test_r2_is_that_of_a_loop(model, fitted):
    """Every gene predicted from the mean of the other genes of its module, with the slope of equal correlations."""
    present = np.arange(0, 200, 3)
    z = z_of(model, fitted)[:5, present].astype(np.float64)
    part = gene_modules.panel(model, present, "model")
    order = np.random.default_rng(0).permutation(present.size)
    zero, one = np.zeros(present.size), np.ones(present.size)
    scored = gene_modules.score_rows(model, Standardised([z[:2], z[2:]], 5, zero, one, zero), part, [order])
    for labels, found in ((part.labels, scored.r2), (part.labels[order], scored.r2_null)):
        for row, value in zip(z, found, strict=True):
            left = 0.0
            for j, of in enumerate(labels):
                others = [row[i] for i in np.flatnonzero(labels == of) if i != j]
                r, q = max(np.nan_to_num(model.within[of]), 0), len(others)
                slope = q * r / (1 + (q - 1) * r) if others else 0.0
                left += (row[j] - slope * np.mean(others or [0.0])) ** 2
            assert value == pytest.approx(1 - left / np.sum(row**2), abs=1e-5)


def test_the_stored_form_is_the_model(model):
    again = from_dict(model.to_dict())
    for name, value in model.to_dict().items():
        np.testing.assert_array_equal(again.to_dict()[name], value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("mean", lambda a: a[1:], "mean has shape"),
        ("within", lambda a: a[1:], "within has shape"),
        ("labels", lambda a: a + 1, "labels are not those of 9 modules"),
        ("labels", lambda a: a.astype(float), "labels are not those"),
    ],
)
def test_what_is_damaged_is_refused(model, name, change, words):
    tree = model.to_dict()
    with pytest.raises(ValueError, match=words):
        from_dict(tree | {name: change(tree[name])})
