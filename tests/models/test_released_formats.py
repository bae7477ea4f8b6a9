"""Every released format of a model file loads for ever: the small files of `tests/data/models/`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import omicstl as otl
from omicstl.models.kinds import KINDS, from_dict

FOLDER = Path(__file__).parents[1] / "data" / "models"
FILES = sorted(FOLDER.glob("*.npz"))


def test_there_is_a_file_for_every_kind_and_version():
    for kind, place in KINDS.items():
        module, name = place.rsplit(".", 1)
        cls = getattr(__import__(f"omicstl.models.{module}", fromlist=[name]), name)
        for version in range(1, cls.version + 1):
            assert FOLDER / f"{kind}_{version}.npz" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_loads_and_can_be_rebuilt(path):
    model = otl.io.read_model(path)
    assert model.kind == path.stem.rsplit("_", 1)[0]
    if hasattr(model, "loadings"):  # networks and predictors have none
        assert model.loadings.shape == (model.features.size, model.names.size)
    assert from_dict(model.to_dict()).names.tolist() == model.names.tolist()


@pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")
def test_a_stored_fit_still_scores_its_own_data():
    model = otl.io.read_model(FOLDER / "plier_1.npz")
    adata, _ = otl.datasets.simulate_pathways(40, 60, n_sets=6, n_factors=3, rng=0)
    otl.tl.project(adata, model)
    np.testing.assert_allclose(np.cov(adata.obsm["plier"].T), model.score_cov, rtol=0.05, atol=0.05)


def test_its_numbers_are_those_that_were_written():
    table = otl.io.read_model(FOLDER / "factor_table_1.npz")
    np.testing.assert_array_equal(table.loadings, np.random.default_rng(0).random((12, 2)).astype(np.float32))
    assert table.score_penalty == 2.0


def test_a_stored_adaptation_still_predicts():
    model = otl.io.read_model(FOLDER / "adapt_1.npz")
    adata, truth = otl.datasets.simulate_pathways(40, 60, n_sets=6, n_factors=3, rng=0)
    p = model.predict(np.asarray(adata.X)[25:])
    assert model.outputs.tolist() == ["high", "low"]
    assert np.corrcoef(p[:, 0], truth.scores[25:40, 0])[0, 1] > 0.5
