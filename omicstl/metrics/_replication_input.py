"""What a comparison of two cohorts reads of each, and whether they can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import listed, missing_key
from omicstl._core.log import DesignWarning, warn
from omicstl._data.results import key_of_test

_COLUMNS = (
    "factor",
    "contrast",
    "se",
    "ci_low",
    "ci_high",
    "effect_sd",
    "effect_sd_low",
    "effect_sd_high",
    "t",
    "df",
    "p",
    "fdr",
)


class Side(NamedTuple):
    """The test of one contrast in one cohort."""

    table: pd.DataFrame
    """Indexed by factor; factors without a p-value are left out."""
    correlation: pd.DataFrame
    entry: Mapping[str, Any]
    contrast: str


def side(adata: AnnData, test: str | None, contrast: str | None, wanted: str | None, where: str) -> Side:
    """Read one contrast: the one asked for, or the one of the `wanted` name, or the only one there."""
    key = key_of_test(adata, test, where, "test" if where == "a" else "other_test")
    entry = adata.uns[key]
    table = entry["table"]
    lacking = [name for name in _COLUMNS if name not in table.columns]
    if lacking or not {"correlation", "overall", "params"} <= set(entry):
        msg = f"{where}.uns[{key!r}] was written by another version of omicstl. Run otl.tl.rank_factors_groups again."
        raise ValueError(msg)
    there = table["contrast"].astype(str).unique().tolist()
    argument = "contrast" if where == "a" else "other_contrast"
    if contrast is None:
        contrast = wanted if wanted is not None and wanted in there else there[0]
        if contrast != wanted and len(there) > 1:
            msg = f"{where}.uns[{key!r}] holds {len(there)} contrasts: {listed(there)}. Say which one: {argument}={there[0]!r}."
            raise KeyError(msg)
    elif contrast not in there:
        raise missing_key(contrast, f"contrasts of {where}.uns[{key!r}]", there)
    table = table[(table["contrast"].astype(str) == contrast).to_numpy() & table["p"].notna().to_numpy()]
    table = table.set_index(table["factor"].astype(str))
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].unique()
        msg = f"{where}.uns[{key!r}] tests several factors of one name: {listed(twice)}. Give the reference's factors names of their own."
        raise ValueError(msg)
    tested = [str(name) for name in entry["overall"]["factor"]]
    return Side(table, pd.DataFrame(np.asarray(entry["correlation"]), tested, tested), entry, contrast)


def check_comparable(a: AnnData, b: AnnData, first: Side, second: Side) -> None:
    """Refuse tests whose factors or directions differ; warn where the question does."""
    digests = [_digest(adata, side, where) for adata, side, where in ((a, first, "a"), (b, second, "b"))]
    if digests[0] != digests[1]:
        msg = (
            f"The factors of `a` and `b` stem from different models (digests {digests[0][:12]} and {digests[1][:12]}): factors of one "
            "name are not the same thing. Project both cohorts onto one reference and test again; "
            "otl.metrics.match_factors(reference_a, reference_b) shows which factors of two references agree."
        )
        raise ValueError(msg)
    kinds = [str(side.entry["params"]["phenotype_kind"]) for side in (first, second)]
    if kinds[0] != kinds[1]:
        msg = (
            f"The test of `a` is of {kinds[0]!r} and that of `b` of {kinds[1]!r}: their effects have different units. "
            "Test both cohorts in the same way."
        )
        raise ValueError(msg)
    if second.contrast in _reversed(first.contrast):
        msg = (
            f"The contrasts point in opposite directions: {first.contrast!r} in `a`, {second.contrast!r} in `b`. "
            "Test again with the same `reference_group` in both."
        )
        raise ValueError(msg)
    if a is b or a.obs_names.equals(b.obs_names):
        warn("`a` and `b` have the same observations: this is no replication in other patients.", DesignWarning)
    else:
        both = [
            name for name in a.obs_names.intersection(b.obs_names) if not str(name).isdigit()
        ]  # "0", "1" are no names
        if both:
            warn(
                f"`a` and `b` share {len(both)} names of observations: {listed(both)}. If they are the same samples, leave them "
                "out of one cohort.",
                DesignWarning,
            )
    adjusted = [sorted(map(str, side.entry["params"].get("factor_covariates", ()))) for side in (first, second)]
    if adjusted[0] != adjusted[1]:
        warn(
            f"The test of `a` is adjusted for the factors [{listed(adjusted[0])}], that of `b` for [{listed(adjusted[1])}]: "
            "their effects answer different questions.",
            DesignWarning,
        )


def _reversed(contrast: str) -> set[str]:
    """``"A - B"`` turned round, at every place where the name may be divided."""
    parts = contrast.split(" - ")
    return {" - ".join([*parts[i:], *parts[:i]]) for i in range(1, len(parts))} - {contrast}


def _digest(adata: AnnData, side: Side, where: str) -> str:
    key = str(side.entry["params"]["key"])
    scores = adata.uns.get(key)
    if not isinstance(scores, Mapping):
        msg = (
            f"{where}.uns[{key!r}], the scores that were tested, is gone, and with it the reference they stem from. "
            "Project and test again."
        )
        raise KeyError(msg)
    reference = scores.get("reference")
    return str(reference["digest"] if isinstance(reference, Mapping) else scores["digest"])
