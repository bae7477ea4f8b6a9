"""A stored model can be shared: no array of it has a row for each observation that it was fitted on, and no name of one."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omicstl as otl
from omicstl.models.kinds import KINDS

FOLDER = Path(__file__).parents[1] / "data" / "models"
LINES, CELLS = 101, 211  # primes, which no other size is a multiple of
GENES = 160
FEW = otl.tl.Training(epochs=2, batch_size=50)


@cache
def pathways():
    adata, truth = otl.datasets.simulate_pathways(CELLS, GENES, n_sets=8, n_factors=4, rng=0)
    adata.obs_names = [f"PERSON-{i}" for i in range(CELLS)]
    adata.obs["domain"] = np.where(np.arange(CELLS) < LINES, "old", "new")
    high = truth.scores[:CELLS, 0] > 0
    adata.obs["class"] = np.where(high, "high", "low")
    adata.obs.loc[adata.obs["domain"] == "new", "class"] = None
    return adata, truth


def plier():
    adata, truth = pathways()
    otl.tl.plier(adata, truth.gene_sets, n_factors=4, max_iter=30, tol=1e-2, progress=False)
    return adata, "plier"


def gene_modules():
    adata, _ = pathways()
    otl.pp.gene_modules(adata, n_modules=8)
    return adata, "gene_modules"


def vae():
    adata, _ = pathways()
    otl.tl.vae(adata, n_factors=2, hidden=(6,), training=FEW)
    return adata, "vae"


def deepprofile():
    adata, _ = pathways()
    options: dict[str, Any] = {"latent_sizes": (2,), "n_members": 2, "n_clusters": 3, "n_comps": 6}
    otl.tl.deepprofile(adata, **options, training=FEW)
    return adata, "deepprofile"


def adapt():
    adata, _ = pathways()
    otl.tl.adapt(adata, domain_key="domain", label_key="class", method="coral", safeguard=False)
    return adata, "adapt"


def adapt_network():
    adata, _ = pathways()
    options: dict[str, Any] = {"domain_key": "domain", "label_key": "class", "safeguard": False, "n_members": 2}
    otl.tl.adapt(adata, method="mmd", training=FEW, key_added="deep", **options)
    return adata, "deep"


def _response(level, training=None):
    cells, lines, _ = otl.datasets.simulate_drug_response(LINES, CELLS, GENES, n_drugs=2, rng=0)
    lines.obs_names = [f"LINE-{i}" for i in range(LINES)]
    cells.obs_names = [f"PERSON-{i}" for i in range(CELLS)]
    options: dict[str, Any] = {"response_key": "ln_ic50", "sensitive": "low", "lineage_key": "tissue"}
    otl.tl.scdeal(cells, lines, level=level, training=training, **options)
    return cells, "scdeal"


def scdeal():
    return _response(otl.tl.ResponseRidge(n_members=3))


def scdeal_network():
    return _response(otl.tl.ResponseNetwork(term=None, n_members=2, hidden=(6,), n_latent=3), FEW)


FITS = {f.__name__: f for f in (plier, gene_modules, vae, deepprofile, adapt, adapt_network, scdeal, scdeal_network)}


def parts(tree: Any, name: str = ""):
    """All values of a nested dict with their names."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from parts(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, tree


def test_every_kind_that_is_fitted_is_here():
    assert set(KINDS) - set(FITS) == {"factor_table"}  # which is read, not fitted


@pytest.mark.parametrize("kind", sorted(FITS))
def test_no_array_has_a_row_for_each_observation(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata, key = FITS[kind]()
    model = otl.get.model(adata, key)
    assert model.kind == kind
    tree = adata.uns[key]["model"]
    sizes = {name: np.shape(value) for name, value in parts(tree) if np.ndim(value)}
    assert sizes
    # A cell or line may have had several pseudo-cells.
    per_row = {
        name: shape for name, shape in sizes.items() if any(n % LINES == 0 or n % CELLS == 0 for n in shape if n)
    }
    assert not per_row
    texts = [str(v) for _, value in parts(tree) if np.asarray(value).dtype.kind in "OUT" for v in np.ravel(value)]
    assert texts
    assert not [text for text in texts if text.startswith(("PERSON-", "LINE-"))]


@pytest.mark.parametrize("kind", ["scdeal", "scdeal_network"])
def test_stored_responses_hold_means_of_at_least_five_lines(kind):
    model = otl.io.read_model(FOLDER / f"{kind}_1.npz")
    assert model.n_lines == 60
    assert len(model.calibration["centres"]) <= model.n_lines // 5
    assert model.calibration["distances"].shape == (2, 257)
