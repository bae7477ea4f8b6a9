"""What a test over factors has to say of the study's design before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import DesignWarning, TransferWarning, info, warn
from omicstl._data.columns import TRUTH, doubt_levels, read_series

from .design import Design

_PERSON = {"subject", "patient", "donor", "individual", "participant", "person", "case", "animal", "mouse"} | {
    "pid",
    "iid",
}
_LABEL = {"id", "ids", "no", "nr", "num", "number", "code", "name", "key", "uid", "identifier", "anon", "accession"}
FEW = 3


def warn_of_transfer(entry: Mapping[str, Any], key: str) -> None:
    quality = entry.get("quality")
    if isinstance(quality, Mapping) and quality.get("verdict") == "refused":
        warn(
            f"The projection {key!r} has the verdict 'refused': its factors do not predict these data, and tests of them "
            f"say nothing of pathways. See uns[{key!r}]['quality'].",
            TransferWarning,
        )


def tell_of_missing(design: Design, n_obs: int) -> None:
    gone = n_obs - int(design.rows.sum())
    if not gone:
        return
    text = f"{gone} of {n_obs} observations are left out: " + ", ".join(
        f"{name!r} is missing in {n}" for name, n in design.missing.items()
    )
    if 2 * gone > n_obs:
        warn(
            f"{text}. What remains may be a selected part of the study; use columns that are known for more.",
            DesignWarning,
        )
    else:
        info(f"{text}.")


def warn_of_design(obs: pd.DataFrame, design: Design, phenotype: str, block: str | None, known: set[str]) -> None:
    """Warn of repeats without a block, of text that may stand for missing values, and of small groups."""
    if block is None:
        warn_of_repeats(obs, design, phenotype, known)
    warn_of_missing_text(design)
    warn_of_small_groups(design, phenotype, block)


def warn_of_missing_text(design: Design) -> None:
    for column in design.used:
        doubt_levels(column, DesignWarning)


def warn_of_small_groups(design: Design, phenotype: str, block: str | None) -> None:
    counts = sizes(design)
    unit = "observations" if block is None else f"{block!r}"
    column = "n_obs" if block is None else "n_blocks"
    small = counts[counts[column] < FEW]
    if len(small):
        told = ", ".join(f"{g!r} ({n})" for g, n in zip(small["group"], small[column], strict=True))
        warn(
            f"Groups of {phenotype!r} with fewer than {FEW} {unit}: {told}. Their variance is taken from the other groups; a "
            "difference may be one of persons, not of groups.",
            DesignWarning,
        )


def sizes(design: Design) -> pd.DataFrame:
    """Observations and blocks of each group; with paired comparisons, blocks in which it meets another group."""
    block = design.config.block
    n_obs = np.bincount(design.codes, minlength=len(design.groups)).astype(np.int64)
    if block is None:
        n_blocks = n_obs.copy()
    else:
        there = np.zeros((int(block.max()) + 1, len(design.groups)), dtype=bool)
        if design.groups:
            there[block, design.codes] = True
        if design.config.within:
            there &= there.sum(axis=1, keepdims=True) > 1
        n_blocks = there.sum(axis=0).astype(np.int64)
    return pd.DataFrame({"group": np.array(design.groups, dtype=object), "n_obs": n_obs, "n_blocks": n_blocks})


def warn_of_repeats(obs: pd.DataFrame, design: Design, phenotype: str, known: set[str]) -> None:
    """A column that looks like a person with several observations, where no `block` was given."""
    found = repeated(obs[design.rows], design.codes if design.groups else None, known | {phenotype})
    if not found:
        return
    first, n = found[0]
    more = f" So {'does' if len(found) == 2 else 'do'} {listed([name for name, _ in found[1:]])}." if found[1:] else ""
    warn(
        f"adata.obs[{first!r}] looks like a patient (or an animal) with several observations ({n} values in {int(design.rows.sum())} "
        f"observations).{more} Observations of one patient are no independent evidence, and p-values without `block` are "
        f"then far too small. Pass block={first!r}.",
        DesignWarning,
    )


def repeated(obs: pd.DataFrame, codes: np.ndarray | None, skip: set[str]) -> list[tuple[str, int]]:
    """Columns that look like persons with repeats, and their number of values; those named so come first."""
    by_name, by_shape = [], []
    for name in obs.columns:
        values = obs[name]
        if name in skip or not isinstance(values, pd.Series):
            continue
        try:
            column = read_series(values, str(name))
        except (TypeError, ValueError):  # dates, and what else is nobody's name
            continue
        present = ~column.absent
        if not present.any() or column.kind == TRUTH:
            continue
        if column.is_number and (column.known % 1).any():
            continue
        label = column.select(present).codes
        n_values = int(label.max()) + 1
        if n_values < FEW or n_values == label.size:
            continue
        if is_person(str(name)):
            by_name.append((str(name), n_values))
        elif (
            not column.is_number and codes is not None and 8 * n_values > label.size and _steady(label, codes[present])
        ):
            by_shape.append((str(name), n_values))
    return by_name + by_shape


def is_person(name: str) -> bool:
    """Whether a column's name ends in a word for a person, words for labels aside: "Patient.ID", but not "donor_age"."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    words = [word for word in words if word not in _LABEL]
    return bool(words) and (words[-1] in _PERSON or re.sub(r"(id|s)$", "", words[-1]) in _PERSON)


def _steady(label: np.ndarray, codes: np.ndarray) -> bool:
    """Whether nearly every value that repeats has one phenotype."""
    pairs = pd.DataFrame({"label": label, "code": codes}).groupby("label")["code"].agg(["size", "nunique"])
    again = pairs[pairs["size"] > 1]
    return bool(len(again) and (again["nunique"] == 1).mean() >= 0.9)
