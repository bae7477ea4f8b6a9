"""How to call every verb in the contract tests: one small data set of one shape, so that all of them share compiled code."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import omicstl as otl
from omicstl._core.log import TransferWarning
from omicstl._core.registry import records
from omicstl.datasets._simulate import PathwayTruth

N_OBS, N_QUERY, N_VARS = 40, 16, 200
FIT = {"n_factors": 4, "max_iter": 60, "tol": 1e-3}
FEW = otl.tl.Training(epochs=2, batch_size=20)
#: Other names for the genes of the cases: some share one, some have none.
PAIRS = pd.DataFrame(
    {"old": [f"GENE{i:03d}" for i in range(1, 180)], "new": [f"NEW{i // 2:03d}" for i in range(1, 180)]}
)


@cache
def _simulated() -> tuple[AnnData, PathwayTruth]:
    return otl.datasets.simulate_pathways(N_OBS, N_VARS, n_query=N_QUERY, n_sets=12, n_factors=3, rng=0)


@cache
def _fitted() -> AnnData:
    adata = _simulated()[0][:N_OBS].copy()
    otl.tl.plier(adata, gene_sets(), **FIT)
    return adata


def gene_sets() -> dict[str, list[str]]:
    """The sets that drive the simulated data."""
    return _simulated()[1].gene_sets


def cohort() -> AnnData:
    """A reference cohort without results; Y is held as it is (observations below half the genes)."""
    return _simulated()[0][:N_OBS].copy()


def query() -> AnnData:
    """A second cohort with the same loadings."""
    return _simulated()[0][N_OBS:].copy()


def fitted() -> AnnData:
    """The reference cohort with a fit of PLIER."""
    return _fitted().copy()


def deepprofile(adata: AnnData, **options: Any) -> AnnData | None:
    """`tl.deepprofile` with a small ensemble."""
    small = {"latent_sizes": (3,), "n_members": 2, "n_clusters": 3, "n_comps": 8}
    return otl.tl.deepprofile(adata, training=otl.tl.Training(epochs=2), **small, **options)


@cache
def _networked() -> AnnData:
    adata = cohort()
    deepprofile(adata)
    return adata


@cache
def _projected() -> AnnData:
    adata = query()
    otl.tl.project(adata, _fitted())
    return adata


def projected() -> AnnData:
    """The second cohort with the scores of the fit."""
    return _projected().copy()


def networked() -> AnnData:
    """The reference cohort with a small ensemble of networks."""
    return _networked().copy()


def tested() -> AnnData:
    """The reference cohort with a fit and with groups to compare."""
    adata = fitted()
    adata.obs["group"] = ["a", "b", "c", "b"] * (N_OBS // 4)
    return adata


def domains() -> AnnData:
    """The reference cohort as two platforms; classes are known in the first alone."""
    adata, truth = cohort(), _simulated()[1]
    adata.obs["platform"] = ["old"] * 24 + ["new"] * (N_OBS - 24)
    high = np.where(truth.scores[:N_OBS, 0] > np.median(truth.scores[:N_OBS, 0]), "high", "low").astype(object)
    adata.obs["class"] = pd.Categorical([*high[:24], *[None] * (N_OBS - 24)], categories=["high", "low"])
    return adata


@cache
def _screen() -> tuple[AnnData, AnnData]:
    cells, lines, _ = otl.datasets.simulate_drug_response(60, 50, N_VARS, rng=1)
    cells.X = cells.X.toarray()
    return cells, lines


def screen() -> AnnData:
    """Cells of a simulated drug screen, the first 40 of them."""
    return _screen()[0][:N_OBS].copy()


def other_screen() -> AnnData:
    """Further cells of the same tumour."""
    return _screen()[0][N_OBS:].copy()


def scdeal(adata: AnnData, **options: Any) -> AnnData | None:
    """`tl.scdeal` for one drug; that genes are few is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        return otl.tl.scdeal(
            adata, _screen()[1], drugs=["response"], sensitive="sensitive", lineage_key="tissue", **options
        )


@cache
def _scored() -> AnnData:
    adata = screen()
    scdeal(adata)
    return adata


def plier(adata: AnnData, **options: Any) -> AnnData | None:
    """`tl.plier` with the options of the tests."""
    return otl.tl.plier(adata, gene_sets(), **{**FIT, **options})


def _stability(adata: AnnData, **options: Any) -> AnnData | None:
    layer = options.pop("layer", None)  # refits read what the fit read
    if layer is not None:
        adata.uns["plier"]["params"]["layer"] = layer
    return otl.tl.stability(adata, n_refits=2, **options)


@dataclass(frozen=True)
class Case:
    """A verb, its input, and what it promises."""

    verb: str
    make: Callable[[], AnnData]
    call: Callable[..., AnnData | None]
    key: str
    writes: frozenset[str]
    """Slots with ``{key}``, of the registry's record where there is one."""
    passes: int
    """Passes over the rows, as the docstring says; 0 if values are not read."""
    breaks: str
    """A function in the middle of the verb, to let it fail there."""
    backed: bool = True
    seeded: bool = False


def _writes(name: str, *sometimes: str) -> frozenset[str]:
    """What the call of a case writes: all that the record says, and some of what it says to be written sometimes."""
    assert set(sometimes) <= set(records()[name].sometimes)
    return frozenset((*records()[name].writes, *sometimes))


_ONE_DRUG = ("obs/{key}_score", "obs/{key}_std", "obs/{key}_call")
CASES = {
    case.verb: case
    for case in (
        Case("tl.plier", cohort, plier, "plier", _writes("plier"), 2, "omicstl.kernels.loop.run", seeded=True),
        Case(
            "tl.project",
            query,
            lambda adata, **options: otl.tl.project(adata, _fitted(), **options),
            "plier",
            _writes("project", "varm/{key}"),
            2,
            "omicstl.models.factors.projection.score_rows",
        ),
        Case(
            "tl.stability",
            fitted,
            _stability,
            "plier",
            _writes("stability"),
            2,
            "omicstl.kernels.loop.run",
            seeded=True,
        ),
        Case(
            "tl.rank_factors_groups",
            tested,
            lambda adata, **options: otl.tl.rank_factors_groups(adata, "group", factors="all", **options),
            "plier_test",
            _writes("rank_factors_groups"),
            0,
            "omicstl.kernels.moderated.fit_prior",
        ),
        Case(
            "tl.enrich",
            fitted,
            lambda adata, **options: otl.tl.enrich(adata, gene_sets(), min_genes=28, fdr=1, **options),
            "plier_enrichment",
            _writes("enrich"),
            0,
            "omicstl.kernels.overrepresentation.upper_tail",
        ),
        Case(
            "tl.attributions",
            networked,
            lambda adata, **options: otl.tl.attributions(adata, **options),
            "deepprofile_attributions",
            _writes("attributions"),
            2,
            "omicstl.kernels.co_activation.add_member",
        ),
        Case(
            "tl.deepprofile",
            cohort,
            deepprofile,
            "deepprofile",
            _writes("deepprofile"),
            2,
            "omicstl.nn.ensemble.run",
            seeded=True,
        ),
        Case(
            "tl.vae",
            cohort,
            lambda adata, **options: otl.tl.vae(
                adata, n_factors=3, decoder="linear", hidden=(8,), training=FEW, **options
            ),
            "vae",
            _writes("vae", "varm/{key}"),
            2,
            "omicstl.models.factors.vae.fit.train",
            seeded=True,
        ),
        Case(
            "tl.assess",
            projected,
            otl.tl.assess,
            "plier_assessment",
            _writes("assess"),
            0,
            "omicstl.models.assess.projection.decide",
        ),
        Case(
            "tl.adapt",
            domains,
            lambda adata, **options: otl.tl.adapt(
                adata, domain_key="platform", label_key="class", method="coral", **options
            ),
            "adapt",
            _writes("adapt", "obs/{key}_prediction", "obsm/{key}_probability"),
            2,
            "omicstl.models.transfer.heads.fit_head",
            seeded=True,
        ),
        Case(
            "tl.scdeal",
            screen,
            scdeal,
            "scdeal",
            _writes("scdeal", *_ONE_DRUG, "uns/{key}_assessment"),
            4,
            "omicstl.models.response.fit.fit_ridge",
            seeded=True,
        ),
        Case(
            "tl.predict",
            other_screen,
            lambda adata, **options: otl.tl.predict(adata, _scored(), **options),
            "scdeal",
            _writes("predict", *_ONE_DRUG, "obs/{key}_novelty"),
            3,
            "omicstl.models.response.report.novelty_of",
        ),
        Case(
            "pp.gene_modules",
            cohort,
            lambda adata, **options: otl.pp.gene_modules(adata, n_modules=8, n_top_genes=120, **options),
            "gene_modules",
            _writes("gene_modules"),
            4,
            "omicstl.kernels.kmeans.kmeans",
            seeded=True,
        ),
        Case(
            "pp.match_distribution",
            query,
            lambda adata, **options: otl.pp.match_distribution(adata, _fitted(), **options),
            "matched",
            frozenset({"layers/{key}"}),
            2,
            "omicstl.kernels.distribution.rankdata",
        ),
        Case(
            "pp.align_features",
            lambda: query()[:, ::-1].copy(),
            lambda adata, **options: otl.pp.align_features(adata, _fitted(), **options),
            "",
            frozenset(),
            0,
            "omicstl.pp._align_features.keep_variables",
            backed=False,
        ),
        Case(
            "pp.map_features",
            query,
            lambda adata, **options: otl.pp.map_features(adata, PAIRS, source="old", target="new", **options),
            "",
            frozenset(),
            0,
            "omicstl.pp._map_features.replace_variables",
            backed=False,
        ),
    )
}


def results(adata: AnnData, case: Case) -> dict[str, Any]:
    """What a verb has written, by slot; the whole object for a verb that changes its shape."""
    if not case.key:
        return {"X": adata.X, "var_names": np.asarray(adata.var_names, dtype=str)}
    found = {}
    for slot in case.writes:
        room, name = slot.format(key=case.key).split("/")
        value = getattr(adata, room)[name]
        found[f"{room}/{name}"] = value.to_numpy() if room in ("obs", "var") else value
    return found
