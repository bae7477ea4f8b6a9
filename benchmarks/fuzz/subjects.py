"""Every public function with a valid call of it, small and of one shape, so that nothing compiles from example to example."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

import omicstl as otl
from tests.contract import cases
from tests.contract._house import public_functions

from . import subjects_results

FEW = otl.tl.Training(epochs=2, batch_size=20)
RIDGE = otl.tl.ResponseRidge(align="coral", n_members=3)


@dataclass(frozen=True)
class Subject:
    """A public function, fresh arguments of a valid call by name, and what the call may write."""

    name: str
    make: Callable[[], dict[str, Any]]
    keys: tuple[str, ...] = ()
    """Names below which the first argument is written; `key_added` of the call is one too."""
    reshapes: bool = False
    """The first argument becomes another object altogether."""
    files: tuple[str, ...] = ()
    """Parameters that name a file or a folder to write."""

    @property
    def carries(self) -> bool:
        """Whether it hands on or shows values without computing with them, so that NaN in is NaN out."""
        return self.reshapes or self.name.startswith(("get.", "pl.")) or self.name == "io.read_depmap"

    @property
    def function(self) -> Callable[..., Any]:
        return resolve(self.name)

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        return {name: p for name, p in inspect.signature(self.function).parameters.items() if name != "self"}

    def call(self, arguments: dict[str, Any]) -> Any:
        rest = dict(arguments)
        many = [name for name, p in self.parameters.items() if p.kind is p.VAR_POSITIONAL]
        given = rest.pop(many[0], ()) if many else ()
        positional = given if isinstance(given, tuple) else (given,)
        return self.function(*positional, **rest)


def override(
    *,
    verbosity: int = 1,
    progress: bool = True,
    model_in_adata: int = 2**26,
    block_bytes: int = 2**27,
    cache_dir: str | Path = ".",
) -> dict[str, Any]:
    """Settings for the length of a block, and what they are in it."""
    values = locals()
    with otl.settings.override(**values) as here:
        return {name: getattr(here, name) for name in values}


def resolve(name: str) -> Callable[..., Any]:
    """The function of a name: ``tl.plier``, ``cite``, ``settings.override``, or ``broken.raw`` of the self-check."""
    if name == "settings.override":
        return override
    door, _, rest = name.rpartition(".")
    found = (
        importlib.import_module(".self_check", __package__) if door == "broken" else getattr(otl, door) if door else otl
    )
    return getattr(found, rest)


@cache
def reference() -> AnnData:
    return cases.fitted()


@cache
def scored() -> AnnData:
    adata = cases.screen()
    otl.tl.scdeal(adata, lines(), drugs=["response"], sensitive="sensitive", level=RIDGE, min_shared=50)
    return adata


@cache
def lines() -> AnnData:
    return cases._screen()[1]


def _plier() -> dict[str, Any]:
    return {"adata": cases.cohort(), "gene_sets": dict(cases.gene_sets()), **cases.FIT}


def _vae() -> dict[str, Any]:
    return {"adata": cases.cohort(), "n_factors": 3, "decoder": "linear", "hidden": (8,), "training": FEW}


def _deepprofile() -> dict[str, Any]:
    small = {"latent_sizes": (3,), "n_members": 2, "n_clusters": 3, "n_comps": 8}
    return {"adata": cases.cohort(), **small, "training": otl.tl.Training(epochs=2)}


def _scdeal() -> dict[str, Any]:
    options = {"drugs": ["response"], "sensitive": "sensitive", "lineage_key": "tissue", "min_shared": 50}
    return {"adata": cases.screen(), "reference": lines().copy(), **options, "level": RIDGE}


def _adapt() -> dict[str, Any]:
    return {"adata": cases.domains(), "domain_key": "platform", "label_key": "class", "method": "coral"}


def _modules() -> dict[str, Any]:
    return {"adata": cases.cohort(), "n_modules": 8, "n_top_genes": 120}


def _map() -> dict[str, Any]:
    return {"adata": cases.query(), "table": cases.PAIRS.copy(), "source": "old", "target": "new"}


def _with(make: Callable[[], AnnData], **more: Any) -> Callable[[], dict[str, Any]]:
    """The same call; what is a function is called for a fresh value."""
    return lambda: {"adata": make(), **{name: v() if callable(v) else v for name, v in more.items()}}


VERBS = (
    Subject("tl.plier", _plier, ("plier",), files=("model_path",)),
    Subject("tl.project", _with(cases.query, reference=lambda: reference().copy()), ("plier",)),
    Subject("tl.stability", _with(cases.fitted, n_refits=2), ("plier",)),
    Subject("tl.rank_factors_groups", _with(cases.tested, phenotype="group", factors="all"), ("plier_test",)),
    Subject(
        "tl.enrich",
        _with(cases.fitted, gene_sets=lambda: dict(cases.gene_sets()), min_genes=28, fdr=1.0),
        ("plier_enrichment",),
    ),
    Subject("tl.attributions", _with(cases.networked, n_steps=5), ("deepprofile", "deepprofile_attributions")),
    Subject("tl.deepprofile", _deepprofile, ("deepprofile",), files=("model_path", "checkpoint")),
    Subject("tl.vae", _vae, ("vae",), files=("model_path", "checkpoint")),
    Subject("tl.assess", _with(cases.projected), ("plier_assessment",)),
    Subject("tl.adapt", _adapt, ("adapt",)),
    Subject("tl.scdeal", _scdeal, ("scdeal", "scdeal_assessment")),
    Subject("tl.predict", _with(cases.other_screen, reference=lambda: scored().copy()), ("scdeal",)),
    Subject("pp.gene_modules", _modules, ("gene_modules",)),
    Subject("pp.match_distribution", _with(cases.query, reference=lambda: reference().copy()), ("matched",)),
    Subject(
        "pp.align_features",
        _with(lambda: cases.query()[:, ::-1].copy(), reference=lambda: reference().copy()),
        reshapes=True,
    ),
    Subject("pp.map_features", _map, ("map_features",), reshapes=True),
)


def _write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _archs4() -> dict[str, Any]:
    with h5py.File("small.h5", "w") as file:
        file["data/expression"] = np.arange(6, dtype="u4").reshape(2, 3)
        file["meta/genes/ensembl_gene"] = ["ENSG00000177455", "ENSG00000198851"]
        file["meta/genes/symbol"] = ["CD19", "CD3E"]
        file["meta/samples/geo_accession"] = ["GSM1", "GSM2", "GSM3"]
        file["meta/samples/series_id"] = ["GSE1", "GSE1", "GSE2"]
        file["meta/samples/title"] = ["Blood of a donor", "liver", "blood, day 2"]
        file["meta/samples/singlecellprobability"] = [0.1, 0.1, 0.9]
    return {"path": Path("small.h5"), "pattern": "blood"}


def _depmap() -> dict[str, Any]:
    genes = _write("expression.csv", ",TP53 (7157),EGFR (1956)\nACH-1,3.5,0.5\nACH-2,2.5,6.0\n")
    models = "ModelID,StrippedCellLineName,OncotreeLineage\nACH-1,A375,Skin\nACH-2,HT29,Bowel\n"
    return {"expression": genes, "models": _write("Model.csv", models), "response": _screen()}


def _gdsc() -> dict[str, Any]:
    table = "CELL_LINE_NAME,DRUG_NAME,LN_IC50\nA-375,Erlotinib,2.5\nHT-29,Erlotinib,1.5\nHT-29,VNLG/124,4.0\n"
    return {"path": _write("screen.csv", table)}


def _screen() -> AnnData:
    return otl.io.read_gdsc(**_gdsc())


def _refinebio() -> dict[str, Any]:
    _write("download/GSE1/GSE1.tsv", "Gene\tGSM1\tGSM2\nENSG00000177455\t1.5\t2.5\nENSG00000198851\t0.5\t1.5\n")
    _write("download/GSE1/metadata_GSE1.tsv", "refinebio_accession_code\trefinebio_sex\nGSM1\tfemale\nGSM2\tmale\n")
    experiments = {"GSE1": {"accession_code": "GSE1", "sample_accession_codes": ["GSM1", "GSM2"]}}
    _write("download/aggregated_metadata.json", json.dumps({"experiments": experiments, "samples": {}}))
    return {"path": Path("download")}


def _published() -> dict[str, Any]:
    z = pd.DataFrame({"LV1": [1.0, 0.5], "LV2": [0.0, 2.0]}, index=["CD19", "CD3E"])
    _write("plier/Z.tsv", z.to_csv(sep="\t"))
    _write("plier/parameters.tsv", pd.DataFrame({"value": [2.0]}, index=["L2"]).to_csv(sep="\t"))
    return {"path": Path("plier")}


def _loadings() -> pd.DataFrame:
    return pd.DataFrame({"LV1": [1.0, 0.5], "LV2": [0.0, 2.0]}, index=["CD19", "CD3E"])


def _gmt() -> dict[str, Any]:
    return {"path": _write("sets.gmt", "T cell\tno\tCD3E\tCD2\nB cell\tno\tCD19\n")}


def _model_file() -> Path:
    otl.io.write_model("model.npz", otl.get.model(reference()))
    return Path("model.npz")


SMALL = {"n_vars": 60, "n_sets": 6, "n_factors": 2, "n_obs": 12}
READERS = (
    Subject("io.read_archs4", _archs4),
    Subject("io.read_depmap", _depmap),
    Subject("io.read_gdsc", _gdsc),
    Subject("io.read_gmt", _gmt),
    Subject("io.read_model", lambda: {"path": _model_file()}),
    Subject("io.read_plier", _published),
    Subject("io.read_refinebio", _refinebio),
    Subject("io.factor_table", lambda: {"table": _loadings(), "penalty": 1.0}),
    Subject("io.write_gmt", lambda: {"path": Path("new.gmt"), "gene_sets": {"T cell": ["CD3E"]}}, files=("path",)),
    Subject("io.write_model", lambda: {"path": Path("new.npz"), "model": otl.get.model(reference())}, files=("path",)),
    Subject("cite", lambda: {"what": cases.tested()}),
    Subject("settings.override", lambda: {"verbosity": 1}),
    Subject("datasets.blood_reference", lambda: {"progress": False}),
    Subject("datasets.gene_identifiers", dict),
    Subject("datasets.gene_sets", lambda: {"names": ("blood", "pid")}),
    Subject("datasets.multiplier_scores", dict),
    Subject("datasets.pbmc_citeseq", dict),
    Subject("datasets.simulate_drug_response", lambda: {"n_lines": 20, "n_cells": 20, "n_vars": 60}),
    Subject("datasets.simulate_pathways", lambda: dict(SMALL)),
    Subject("datasets.sle_adult", dict),
    Subject("datasets.sle_pediatric", dict),
)


@cache
def subjects() -> dict[str, Subject]:
    """All of them by name; a public function without one is an error."""
    rows = (*VERBS, *READERS, *(Subject(name, make) for name, make in subjects_results.CALLS.items()))
    found = {row.name: row for row in rows}
    from .self_check import SUBJECTS as broken

    found |= {row.name: row for row in broken}
    lacking = sorted({name for name, _ in public_functions()} - set(found))
    if lacking:
        msg = f"{lacking} have no valid call here. Add one to benchmarks/fuzz/subjects.py."
        raise KeyError(msg)
    return found
