"""The same odd column given to every verb that reads one: verbs that read it for the same role do the same and say the same."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl.metrics import _domains
from omicstl.models.factors.autoencoder.covariates import learn
from omicstl.models.factors.vae.model import VaeModel
from omicstl.pl._read import groups_of
from omicstl.tl._project import covariates as projected
from omicstl.tl._rank_factors_groups import design
from omicstl.tl._scdeal import evaluation, groups as clusters
from omicstl.tl._shared import domains as adapted, encoder_rows as encoded, response, screen as screens
from tests.support import drug_screen, network_models
from tests.support.scored import scored

N = 40
READ = "read"


def halves(n: int, first: Any = "a", second: Any = "b", *, odd: Any = None, n_odd: int = 0) -> np.ndarray:
    """Two levels, half of the rows each, and odd values at the beginning and the end."""
    values = np.array([first] * (n // 2) + [second] * (n - n // 2), dtype=object)
    values[:n_odd], values[n - n_odd :] = odd, odd
    return values


#: What makes a column of n rows.
GOOD = {
    "text": halves,
    "strings": lambda n: pd.array(halves(n), dtype="string"),
    "unused categories": lambda n: pd.Categorical(halves(n), categories=["z", "a", "", "b"]),
    "whole numbers": lambda n: halves(n, 0, 1).astype(int),
    "Int64": lambda n: pd.array(halves(n, 0, 1), dtype="Int64"),
    "whole floats": lambda n: halves(n, 0, 1).astype(float),
    "categories of integers": lambda n: pd.Categorical(halves(n, 0, 1)),
    "categories of floats": lambda n: pd.Categorical(halves(n, 0.0, 1.0)),
    "boolean": lambda n: pd.array(halves(n, False, True), dtype="boolean"),
}
MIXED = {
    "mixed 1": lambda n: np.array([0, "0", 0.0, "0.0"] * (n // 8) + [1, "1", 1.0, 1.0] * (n // 8 + 1), dtype=object)[:n]
}
DOUBTFUL = {
    "none": lambda n: halves(n, "none", "b"),
    "N/A": lambda n: pd.Categorical(halves(n, "a", "N/A")),
}
MISSING = {
    "blank text": lambda n: halves(n, odd="  ", n_odd=2),
    "blank category": lambda n: pd.Categorical(halves(n, odd="", n_odd=2)),
    "None": lambda n: halves(n, odd=None, n_odd=2),
    "Int64 with NA": lambda n: pd.array(halves(n, 0, 1, odd=pd.NA, n_odd=2), dtype="Int64"),
    "boolean with NA": lambda n: pd.array(halves(n, False, True, odd=pd.NA, n_odd=2), dtype="boolean"),
}
ALL_MISSING = {"all NaN": lambda n: np.full(n, np.nan), "all blank": lambda n: np.full(n, "", dtype=object)}
NEVER = {
    "nan text": lambda n: halves(n, odd="nan", n_odd=2),
    "NaN category": lambda n: pd.Categorical(halves(n, odd=" NaN", n_odd=2)),
    "<NA> text": lambda n: halves(n, odd="<NA>", n_odd=2),
    "-999": lambda n: halves(n, 0, 1, odd=-999, n_odd=2).astype(int),
    "-99": lambda n: halves(n, 0, 1, odd=-99, n_odd=2).astype(float),
    "infinite": lambda n: halves(n, 0, 1, odd=np.inf, n_odd=2).astype(float),
    "dates": lambda n: pd.date_range("2020-01-01", periods=n),
    "dates as objects": lambda n: np.array(list(pd.date_range("2020-01-01", periods=n).date), dtype=object),
    "complex": lambda n: np.arange(n) * 1j,
    "twice": None,
}
MEASURED = {"measured": lambda n: np.arange(n) / 7, "measured Float64": lambda n: pd.array(np.arange(n) / 7, "Float64")}
GAPS = {
    "measured with NaN": lambda n: np.where(np.arange(n) < 2, np.nan, np.arange(n) / 7),
    "objects": lambda n: np.where(np.arange(n) < 2, None, np.arange(n) / 7),
}
NUMBERS_NEVER = {
    "-9999 among many": lambda n: np.where(np.arange(n) % 9 == 0, -9999, np.arange(n) / 7),
    "-99 as objects": lambda n: np.where(np.arange(n) % 9 == 0, -99, np.arange(n) / 7).astype(object),
    "infinite": lambda n: np.where(np.arange(n) == 3, -np.inf, np.arange(n) / 7),
}
ODD = GOOD | MIXED | DOUBTFUL | MISSING | ALL_MISSING | NEVER | MEASURED | GAPS | NUMBERS_NEVER
MASKS_NO = {"words": lambda n: halves(n, "tumour", "other"), "numbers": lambda n: halves(n, 1, 2).astype(int)}


def put(adata: ad.AnnData, make: Callable[[int], Any] | None) -> ad.AnnData:
    """The column "x"; without a maker it is there twice."""
    adata = adata.copy()
    adata.obs["x"] = halves(adata.n_obs) if make is None else make(adata.n_obs)
    if make is None:
        adata.obs = pd.concat([adata.obs, adata.obs[["x"]]], axis=1)
    return adata


@cache
def domains() -> ad.AnnData:
    """Two domains by halves, labels in the first. A NaN of X ends every verb once it has read its columns."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"domain": halves(N), "other": ["u", "v"] * (N // 2), "label": ["p", "q"] * (N // 2)})
    obs["known"] = np.where(np.arange(N) < N // 2, obs["label"], None)
    obs["score"], obs["group"] = rng.normal(size=N), np.repeat([f"g{i}" for i in range(N // 4)], 4)
    obs.index = [f"o{i}" for i in range(N)]
    x = rng.normal(size=(N, 12)).astype(np.float32)
    x[0, 0] = np.nan
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"GENE{i}" for i in range(12)]))


@cache
def screen() -> tuple[ad.AnnData, ad.AnnData]:
    cells, lines = drug_screen.simulated()
    lines.obs["study"] = halves(lines.n_obs)
    cells.X = cells.X.toarray()
    return cells, lines


@cache
def fitted() -> ad.AnnData:
    cells, lines = (x.copy() for x in screen())
    drug_screen.run(cells, lines, study_key="study", drugs=["Lapatinib"])
    return cells


def spoilt(adata: ad.AnnData) -> ad.AnnData:
    adata = adata.copy()
    adata.X[0, 0] = np.nan
    return adata


@cache
def with_scores() -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = {"group": ["u", "v"] * (N // 2), "age": rng.normal(50, 9, N)}
    return scored(rng.normal(size=(N, 3)), obs)


@cache
def network() -> ad.AnnData:
    """Networks with random weights, fitted within the batches of a column "x"."""
    return spoilt(network_models.cohort(network_models.ensemble(), batch_key="x"))


def with_covariate() -> VaeModel:
    model = network_models.vae(with_batch=True)
    return replace(model, covariate_codes=learn({"x": halves(N)}, {"x": ["a", "b"]}))


def rank(make, phenotype="x", **options):
    otl.tl.rank_factors_groups(put(with_scores(), make), phenotype, **options)


def adapt(make, **options):
    given = {"domain_key": "domain", "label_key": "known", "method": "zscore"} | options
    otl.tl.adapt(put(domains(), make), **given)


def vae(make, **options):
    otl.tl.vae(put(domains(), make), n_factors=2, **options)


def deepprofile(make):
    otl.tl.deepprofile(put(domains(), make), latent_sizes=(2,), n_members=1, n_clusters=2, batch_key="x")


def scdeal(make, side, **options):
    cells, lines = screen()
    cells = spoilt(cells)
    pair = (put(cells, make), lines) if side == "cells" else (cells, put(lines, make))
    given = {"response_key": "table", "sensitive": "low", "level": drug_screen.FAST} | options
    otl.tl.scdeal(*pair, **given)


def assess(make):
    otl.tl.assess(spoilt(put(fitted(), make)), screen()[1], key="scdeal", batch_key="x")


def predict(make, **options):
    otl.tl.predict(spoilt(put(screen()[0], make)), fitted(), key_added="new", **options)


def predict_lines(make):
    lines = spoilt(put(screen()[1], make))
    otl.tl.predict(lines, fitted(), domain="source", study_key="x", key_added="new")


def metric(name, make, **options):
    getattr(otl.metrics, name)(put(domains(), make), **options)


def compared(make, **options):
    """Of predictions, which read no X."""
    given = {"prediction": "score", "baseline": "score", "label_key": "label", "n_resamples": 50} | options
    otl.metrics.negative_transfer(put(domains(), make), **given)


def ends(make) -> str:
    """What is sensitive: a class by its name, or the high end of numbers."""
    cells = put(screen()[0], make)
    try:
        column = screens.columns_of.read_column(cells, "x")
    except (TypeError, ValueError):
        return "high"
    return "high" if column.numbers is not None or not column.levels else column.levels[0]


def of_lines(make):
    cells, lines = screen()
    response.read(cells, put(lines, make), ["x"], None, ends(make))


def of_cells(make):
    evaluation.read(put(screen()[0], make), "x", np.array(["d"]), ends(make), None)


WITH_LABELS = {"transferability": {}, "shift_report": {"domain_key": "other"}}
OF_CLASSES = WITH_LABELS | {"label_shift": {"domain_key": "other"}, "da_bound": {"domain_key": "other"}}
WITH_DOMAINS = {
    "domain_distance": {},
    "importance_weights": {},
    "label_shift": {"label_key": "label"},
    "shift_report": {"label_key": "label"},
    "da_bound": {"label_key": "label"},
}
GROUPS = {
    "adapt domain_key": partial(adapt, domain_key="x"),
    "adapt block": partial(adapt, block="x"),
    "vae batch_key": partial(vae, batch_key="x"),
    "deepprofile batch_key": deepprofile,
    "scdeal cluster_key": partial(scdeal, side="cells", cluster_key="x"),
    "scdeal lineage_key": partial(scdeal, side="lines", lineage_key="x"),
    "scdeal study_key": partial(scdeal, side="lines", study_key="x"),
    "assess batch_key": assess,
    "predict study_key": predict_lines,
    "attributions batch_key": lambda make: otl.tl.attributions(put(network(), make)),
    "negative_transfer block": partial(compared, block="x"),
    **{f"{name} domain_key": partial(metric, name, domain_key="x", **more) for name, more in WITH_DOMAINS.items()},
}
LABELS = {
    "rank_factors_groups phenotype": rank,
    "adapt label_key": partial(adapt, label_key="x", domain_key="other", target="v"),
    "scdeal response": of_lines,
    "scdeal eval_key": of_cells,
    "negative_transfer label_key": partial(compared, label_key="x"),
    "negative_transfer prediction": partial(compared, prediction="x"),
    "plots groupby": lambda make: groups_of(put(with_scores(), make), "x"),
    **{f"{name} label_key": partial(metric, name, label_key="x", **more) for name, more in OF_CLASSES.items()},
}
LEFT_OUT = {
    "rank_factors_groups block": partial(rank, phenotype="group", block="x"),
    "rank_factors_groups covariates": partial(rank, phenotype="group", covariates=["x"]),
    "project covariates": lambda make: projected.codes_of(put(domains(), make), with_covariate()),
}
NUMBERS = {
    "rank_factors_groups phenotype": rank,
    "rank_factors_groups covariates": partial(rank, phenotype="group", covariates=["x"]),
    "adapt label_key": partial(adapt, label_key="x", domain_key="other", target="v"),
    "scdeal response": of_lines,
    "scdeal eval_key": of_cells,
    "negative_transfer label_key": partial(compared, label_key="x"),
    "negative_transfer prediction": partial(compared, prediction="x"),
    "vae covariates": partial(vae, covariates=["x"]),
    **{f"{name} label_key": partial(metric, name, label_key="x", **more) for name, more in WITH_LABELS.items()},
}
MASKS = {
    "scdeal mask_obs": partial(scdeal, side="cells", mask_obs="x"),
    "predict mask_obs": partial(predict, mask_obs="x"),
}

_LATER = re.compile(r"^adata.X (contains 1 NaN value|has NaN or)|none is the same|must be a column of groups")
_PLACE = re.compile(r"(adata|reference)\.obs\['x'\]")
_COUNTS = re.compile(r"\d+ of \d+|all \d+|in \d+ observations?|\d+ values? of")


def outcome(call, name, makers=ODD) -> tuple[str, str, bool]:
    """What happens to a column: the kind of the error, its text without place and counts, and whether a level was doubted."""
    error, text = READ, ""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            call(makers[name])
        except (TypeError, ValueError) as refusal:
            text = str(refusal)
            of_column = text.startswith(("adata.obs['x']", "reference.obs['x']", "adata.obs has", "reference.obs has"))
            error = type(refusal).__name__ if of_column else READ
    if error == READ:
        assert not text or _LATER.search(text), text
        text = ""
    doubted = any("is taken as a group of adata.obs['x']" in str(w.message).replace("reference", "adata") for w in told)
    text = _COUNTS.sub("N", _PLACE.sub("PLACE", text)).replace("reference.obs has", "adata.obs has")
    return error, text.partition(";")[0], doubted


def check_alike(calls, name, error, doubted=False):
    found = {verb: outcome(call, name, ODD | MASKS_NO) for verb, call in calls.items()}
    assert len(set(found.values())) == 1, "\n".join(f"{verb}: {what}" for verb, what in found.items())
    assert next(iter(found.values()))[0] == error
    assert next(iter(found.values()))[2] == doubted


DATES = ("dates", "dates as objects", "complex")


def kind(name):
    return "TypeError" if name in DATES else "ValueError"


@pytest.mark.parametrize("name", GOOD | MIXED | DOUBTFUL)
@pytest.mark.parametrize("role", ["groups", "labels"])
def test_two_levels_are_read_by_all(name, role):
    calls = GROUPS if role == "groups" else LABELS
    if name in DOUBTFUL:  # what is predicted or drawn has been doubted before
        calls = {
            verb: call for verb, call in calls.items() if verb not in ("negative_transfer prediction", "plots groupby")
        }
    check_alike(calls, name, READ, name in DOUBTFUL)


@pytest.mark.parametrize("name", MISSING | ALL_MISSING | NEVER)
def test_groups_that_may_not_be_missing(name):
    check_alike(GROUPS, name, kind(name))


@pytest.mark.parametrize("name", MEASURED)
def test_measured_numbers_are_no_groups(name):
    check_alike(GROUPS, name, "TypeError")


@pytest.mark.parametrize("name", MISSING)
def test_labels_that_may_be_missing(name):
    check_alike(LABELS, name, READ)
    check_alike(LEFT_OUT, name, READ)


@pytest.mark.parametrize("name", NEVER)
def test_what_is_no_label(name):
    check_alike(LABELS | LEFT_OUT, name, kind(name))


@pytest.mark.parametrize("name", ALL_MISSING)
def test_labels_that_are_all_missing(name):
    check_alike(
        {verb: call for verb, call in LABELS.items() if verb != "negative_transfer prediction"}, name, "ValueError"
    )


@pytest.mark.parametrize("name", MEASURED | GAPS | NUMBERS_NEVER)
def test_numbers(name):
    may = {verb: call for verb, call in NUMBERS.items() if verb != "vae covariates"}
    check_alike(may if name in GAPS else NUMBERS, name, "ValueError" if name in NUMBERS_NEVER else READ)
    if name in GAPS:
        check_alike({"vae covariates": NUMBERS["vae covariates"]}, name, "ValueError")


@pytest.mark.parametrize("name", ["boolean", "whole numbers", "whole floats", "Int64", "categories of integers"])
def test_masks(name):
    check_alike(MASKS, name, READ)


@pytest.mark.parametrize("name", MISSING | ALL_MISSING | NEVER | MASKS_NO | MEASURED)
def test_what_is_no_mask(name):
    wrong = ("blank text", "blank category", "None", "dates", "dates as objects", "complex", *MASKS_NO, *MEASURED)
    check_alike(MASKS, name, "TypeError" if name in wrong else "ValueError")


EXPECTED = {"text": ["a", "b"], "strings": ["a", "b"], "unused categories": ["a", "b"], "boolean": ["False", "True"]}


@pytest.mark.parametrize("name", GOOD | MIXED)
def test_levels_have_the_same_names_everywhere(name):
    adata, two = put(domains(), ODD[name]), EXPECTED.get(name, ["0", "1"])
    found = {
        "adapt label": list(adapted.labels(adata, "x", "classification").task.names),
        "metrics label": _domains.labels(adata, "x").names,
        "metrics domain": list(_domains.sides(adata, "x", None, None)[:2]),
        "vae batch": encoded.observed(adata, "x", ()).levels["x"],
        "clusters": list(np.unique(clusters.clusters_of(adata, "x").astype(str))),
        "lineage": list(np.unique(screens.group_names(adata, "x", "lineage_key").astype(str))),
    }
    if not pd.api.types.is_numeric_dtype(adata.obs["x"].dtype) or name == "boolean":
        options = {"reference_group": None, "block": None, "paired": False, "covariates": [], "scores": {}}
        found["phenotype"] = design.build(adata.obs, "x", confidence=0.95, **options).groups
        found["plots"] = groups_of(adata, "x").names
    assert all(names == two for names in found.values()), found
