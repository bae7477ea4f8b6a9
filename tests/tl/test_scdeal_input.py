"""What `tl.scdeal` refuses: clear words, and the user's objects as they were."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl._core.log import TransferWarning
from tests.support.drug_screen import FAST, refused, run, simulated


@pytest.fixture(scope="module")
def screen():
    return simulated()


def rename(names):
    def change(cells, lines):
        cells.var_names = names(cells)

    return change


def test_no_shared_gene_and_too_few(screen):
    refused(screen, ValueError, "No gene is shared", rename(lambda c: [f"OTHER{i}" for i in range(c.n_vars)]))
    few = lambda c: [n if i < 60 else f"OTHER{i}" for i, n in enumerate(c.var_names)]
    refused(screen, ValueError, "Only 60 of 160 genes .*Bring both to the same .* min_shared=100", rename(few))


def test_few_genes_warn(screen):
    cells, lines = (x.copy() for x in screen)
    with pytest.warns(TransferWarning, match=r"share 160 varying genes\. Below 2,000"):
        otl.tl.scdeal(cells, lines, response_key="table", sensitive="low", level=FAST, safeguard=False)


def test_mouse_cells_name_the_way_out(screen):
    def change(cells, lines):
        lines.var_names = [f"AB{chr(65 + i % 26)}{i}" for i in range(lines.n_vars)]
        cells.var_names = [name.capitalize() for name in lines.var_names]

    refused(screen, ValueError, "mouse gene symbols .* orthologs .*map_features", change)


def test_mouse_cells_that_share_some_names(screen):
    def change(cells, lines):
        lines.var_names = [f"AB{chr(65 + i % 26)}{i}" for i in range(lines.n_vars)]
        cells.var_names = [n if i < 40 else n.capitalize() for i, n in enumerate(lines.var_names)]

    refused(screen, ValueError, "two species", change, min_shared=20)


def test_one_class_and_no_value(screen):
    def one(cells, lines):
        lines.obs["one"] = "S"
        lines.obs["none"] = np.nan

    refused(screen, ValueError, "one class, 'S'", one, response_key=None, drugs=["one"], sensitive="S")
    refused(screen, ValueError, "no line has a value", one, response_key=None, drugs=["none"])

    def empty(cells, lines):
        lines.obsm["table"]["A/B"] = np.nan

    refused(screen, ValueError, "'A/B' .* no line has a value", empty, drugs=["A/B"])


def test_a_drug_without_values_is_left_out_of_all(screen):
    cells, lines = (x.copy() for x in screen)
    lines.obsm["table"]["A/B"] = np.nan
    with pytest.warns(TransferWarning) as told:
        otl.tl.scdeal(cells, lines, response_key="table", sensitive="low", level=FAST, safeguard=False)
    assert any("1 of 3 drugs" in str(w.message) and "'A/B'" in str(w.message) for w in told)
    assert list(cells.uns["scdeal"]["drugs"]) == ["Lapatinib", "PLX-4720"]


def test_few_lines_and_small_classes(screen):
    def few(cells, lines):
        lines.obsm["table"].iloc[9:, 0] = np.nan
        lines.obs["rs"] = ["S", "S", *["R"] * (lines.n_obs - 2)]

    refused(screen, ValueError, "9 lines have a value", few, drugs=["Lapatinib"])
    refused(screen, ValueError, "class has fewer than 3", few, response_key=None, drugs=["rs"], sensitive="S")


def test_misspelt_names_have_a_near_miss(screen):
    refused(screen, KeyError, "Did you mean 'Lapatinib'", drugs=["lapatinib"])
    refused(screen, KeyError, "Did you mean 'table'", response_key="tabel")
    refused(screen, ValueError, r"no line.* Did you mean 'LINE\d+'", exclude_lines=["LINE0x"])
    refused(screen, KeyError, "'tissu' not found in reference.obs. Did you mean 'tissue'", lineage_key="tissu")
    refused(screen, TypeError, "must be a list of names", exclude_lines="LINE01")


def test_direction_must_be_stated(screen):
    refused(screen, ValueError, "say which end is sensitive", sensitive=None)
    refused(screen, ValueError, "`sensitive` must be one of 'low', 'high'", sensitive="lower")
    options = {"response_key": None, "drugs": ["response"]}
    refused(screen, ValueError, "Did you mean 'sensitive'", sensitive="sensitiv", **options)


def test_labels_of_the_cells_are_no_response(screen):
    def change(cells, lines):
        cells.obs["mine"] = 1.0
        cells.obsm["labels"] = np.ones((cells.n_obs, 2))

    refused(screen, KeyError, "labels of the cells", change, response_key=None, drugs=["mine"])
    refused(screen, KeyError, "labels of the cells", change, response_key="labels")


def test_duplicated_genes(screen):
    def change(cells, lines):
        cells.var_names = ["GENE001", *cells.var_names[:-1]]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(screen, ValueError, "not unique", change)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_values_must_be_finite(screen, bad, side):
    def change(*both):
        x = both[side].X.toarray() if hasattr(both[side].X, "toarray") else both[side].X.copy()
        x[3, 5] = bad
        both[side].X = x

    refused(screen, ValueError, "contains 1", change)


def test_infinite_response(screen):
    def change(cells, lines):
        lines.obsm["table"].iloc[0, 0] = np.inf

    refused(screen, ValueError, "infinite", change)


def test_single_cell_and_few(screen):
    refused(screen, ValueError, "1 shapes the fit", lambda c, l: (c[:1].copy(), l))
    refused(screen, ValueError, "tl.predict", lambda c, l: (c[:9].copy(), l))

    def mask(cells, lines):
        cells.obs["tumour"] = np.arange(cells.n_obs) < 5
        cells.obs["word"] = "malignant"

    refused(screen, ValueError, r"adata.obs\['tumour'\] 5 shape", mask, mask_obs="tumour")
    refused(screen, TypeError, "True or False", mask, mask_obs="word")


def test_empty_cells_and_z_scores(screen):
    def empty(cells, lines):
        x = cells.X.toarray()
        x[2] = 0
        cells.X = x

    refused(screen, ValueError, "1 of 40 cells have no counts", empty)

    def scaled(cells, lines):
        x = cells.X.toarray()
        cells.X = ((x - x.mean(0)) / (x.std(0) + 1)).astype(np.float32)

    refused(screen, ValueError, "scale='zscore'", scaled)


def test_constant_genes_are_left_out(screen):
    cells, lines = (x.copy() for x in screen)
    x = cells.X.toarray()
    x[:, :20] = 0
    cells.X = x
    run(cells, lines)
    assert cells.uns["scdeal"]["params"]["n_constant"] == 20
    assert not cells.varm["scdeal"][:20].any()
    assert cells.varm["scdeal"][20:].any(axis=1).all()
    assert np.isfinite(cells.obsm["scdeal_response"]).all()
    x[:, :100] = 0
    refused(screen, ValueError, "only 60 vary", lambda c, l: (ad.AnnData(x, c.obs, c.var), l))


def test_names_and_places(screen):
    cells, lines = screen
    refused(screen, ValueError, "same object", lambda c, l: (l, l))
    refused(screen, ValueError, "Say which responses", response_key=None)
    refused(screen, KeyError, "not found in adata.layers", layer="counts")
    refused(screen, ValueError, "names 'A/B' more than once", drugs=["A/B", "A/B"])
    refused(screen, ValueError, "`training` is for networks", training=otl.tl.Training())
    refused(screen, ValueError, "`level` must be one of", level="deep")

    def array(cells, lines):
        lines.obsm["array"] = np.zeros((lines.n_obs, 2))

    refused(screen, ValueError, "array_names", array, response_key="array")

    def taken(cells, lines):
        cells.obs["scdeal_score"] = 1.0

    refused(screen, ValueError, "not written by a run", taken)


def test_a_model_too_large_is_refused_before_the_fit(screen):
    with otl.settings.override(model_in_adata=1000):
        refused(screen, ValueError, "may travel in an AnnData")
