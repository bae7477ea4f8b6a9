"""`tl.predict` with domain="source": lines beside the cells, in the latent space of a fit."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl._core.log import ScaleWarning, TransferWarning
from omicstl.tl._scdeal import levels

pytestmark = pytest.mark.filterwarnings("ignore::omicstl._core.log.TransferWarning")
LEVELS = {
    "none": (otl.tl.ResponseRidge(align="none", n_members=0), None),
    "coral": (otl.tl.ResponseRidge(align="coral", n_members=0), None),
    "denoise": (otl.tl.ResponseRidge(align="denoise", n_members=0), None),
    "network": (
        otl.tl.ResponseNetwork(term=None, n_members=2, hidden=(8,), n_latent=4, n_comps=20),
        otl.tl.Training(epochs=5, batch_size=40),
    ),
}
OPTIONS = {"drugs": ["response"], "sensitive": "sensitive", "lineage_key": "tissue", "safeguard": False}


@pytest.fixture(scope="module")
def screen():
    return otl.datasets.simulate_drug_response(120, 150, 300, rng=6)[:2]


@pytest.fixture(scope="module")
def fitted(screen):
    """Fits by level and `study_key`, with the latent of the lines that the fit itself had."""
    there = {}
    run = levels.Levels.__call__

    def of(level, study_key=None):
        if (level, study_key) not in there:
            cells, (options, training), fits = screen[0].copy(), LEVELS[level], []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(levels.Levels, "__call__", lambda *given: fits.append(run(*given)) or fits[-1])
                otl.tl.scdeal(cells, screen[1], level=options, training=training, study_key=study_key, **OPTIONS)
            there[level, study_key] = cells, np.asarray(fits[0].fit.latent_lines)
        return there[level, study_key]

    return of


@pytest.mark.parametrize("study_key", [None, "laboratory"])
@pytest.mark.parametrize("level", sorted(LEVELS))
def test_lines_of_the_fit_have_the_latent_of_the_fit(screen, fitted, level, study_key):
    cells, latent = fitted(level, study_key)
    lines = screen[1][::-1, ::-1].copy()  # in another order
    otl.tl.predict(lines, cells, domain="source", study_key=study_key)
    assert lines.obsm["scdeal"].dtype == np.float32
    np.testing.assert_allclose(lines.obsm["scdeal"][::-1], latent, atol=1e-5 * np.abs(latent).max())
    assert lines.obsm["scdeal"].shape[1] == cells.obsm["scdeal"].shape[1]


def test_both_go_into_one_object(screen, fitted):
    cells, _ = fitted("coral")
    lines = screen[1].copy()
    otl.tl.predict(lines, cells, domain="source")
    both = ad.concat([cells, lines], label="side", keys=["cells", "lines"])
    assert both.obsm["scdeal"].shape == (270, cells.obsm["scdeal"].shape[1])
    # What CORAL is for: both sides vary alike.
    of_cells, of_lines = (np.cov(both.obsm["scdeal"][both.obs["side"] == side].T) for side in ("cells", "lines"))
    assert np.corrcoef(of_cells.ravel(), of_lines.ravel())[0, 1] > 0.9
    assert 0.7 < np.trace(of_lines) / np.trace(of_cells) < 1.4


def test_what_is_written_is_the_latent_and_no_score(screen, fitted):
    cells, _ = fitted("none")
    lines = screen[1].copy()
    before = set(lines.obs)
    out = otl.tl.predict(lines, cells, domain="source", key_added="beside", copy=True)
    assert "beside" not in lines.obsm
    assert set(out.obs) == before
    assert set(out.obsm) == {"beside", *lines.obsm}
    entry = out.uns["beside"]
    assert entry["kind"] == "prediction"
    assert entry["params"]["domain"] == "source"
    assert "model" not in entry
    with pytest.raises(KeyError, match="no predicted response"):
        otl.get.response(out)


def test_new_lines_lineages_and_a_line_alone(screen, fitted):
    cells, latent = fitted("denoise")
    one = screen[1][3].copy()
    del one.obs["tissue"]
    otl.tl.predict(one, cells, domain="source")
    np.testing.assert_allclose(one.obsm["scdeal"][0], latent[3], atol=1e-4)


def test_lines_that_lack_genes(screen, fitted):
    cells, latent = fitted("denoise")
    part = screen[1][:, 60:].copy()
    with pytest.warns(TransferWarning, match="60 of 300 genes of the fit are missing"):
        otl.tl.predict(part, cells, domain="source")
    found = [np.corrcoef(part.obsm["scdeal"][:, i], latent[:, i])[0, 1] for i in range(5)]
    assert min(found) > 0.7
    with pytest.raises(ValueError, match="fewer than half"):
        otl.tl.predict(screen[1][:, :120].copy(), cells, domain="source")


def test_laboratories_are_needed_where_the_fit_had_them(screen, fitted, tmp_path):
    cells, _ = fitted("none", "laboratory")
    lines = screen[1].copy()
    with pytest.raises(ValueError, match="study_key='laboratory'"):
        otl.tl.predict(lines, cells, domain="source")
    with pytest.raises(ValueError, match="study_key='<column of adata.obs>'"):
        otl.tl.predict(lines, otl.get.model(cells), domain="source")
    with pytest.raises(KeyError, match="'laboratoy'.*'laboratory'"):
        otl.tl.predict(lines, cells, domain="source", study_key="laboratoy")
    otl.io.write_model(tmp_path / "model.npz", otl.get.model(cells))
    otl.tl.predict(lines, tmp_path / "model.npz", domain="source", study_key="laboratory")
    again = screen[1].copy()
    otl.tl.predict(again, cells, domain="source", study_key="laboratory")
    np.testing.assert_array_equal(lines.obsm["scdeal"], again.obsm["scdeal"])
    with pytest.raises(ValueError, match="without a `study_key`"):
        otl.tl.predict(screen[1].copy(), fitted("none")[0], domain="source", study_key="laboratory")


def test_lines_on_another_scale(screen, fitted):
    cells, _ = fitted("none")
    lines = screen[1].copy()
    lines.X = lines.X + 4
    with pytest.warns(TransferWarning, match="from those of the lines of the fit"):
        otl.tl.predict(lines, cells, domain="source")
    lines.X = np.rint(np.exp2(screen[1].X))
    with pytest.warns(ScaleWarning, match="raw counts"):
        otl.tl.predict(lines, cells, domain="source")
    lines.X[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        otl.tl.predict(lines, cells, domain="source")


def test_options_of_cells_are_refused_for_lines_and_the_other_way_round(screen, fitted):
    cells, _ = fitted("none")
    lines = screen[1].copy()
    for option in ({"scale": "log"}, {"standardize": "query"}, {"mask_obs": "tumour"}):
        with pytest.raises(ValueError, match="is for cells"):
            otl.tl.predict(lines, cells, domain="source", **option)
    with pytest.raises(ValueError, match="`obsm` is not used"):
        otl.tl.predict(lines, cells, domain="source", obsm="ln_ic50")
    with pytest.raises(ValueError, match="`study_key` is for lines"):
        otl.tl.predict(screen[0].copy(), cells, study_key="laboratory")
    with pytest.raises(ValueError, match="`domain` must be one of 'target', 'source'"):
        otl.tl.predict(lines, cells, domain="lines")
    assert "scdeal" not in lines.obsm
