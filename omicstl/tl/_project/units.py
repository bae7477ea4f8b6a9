"""Which statistics turn rows into z-scores, and how far the rows lie from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn
from omicstl._data import adata as reader
from omicstl.kernels import stats

if TYPE_CHECKING:
    from omicstl.models.base import EncoderModel, LinearModel

OWN_STATISTICS = 10  # observations from which a cohort's own mean and spread are taken
OFFSET_WARNS, OFFSET_REFUSES = 1.0, 3.0  # median shift per gene, in standard deviations of the reference


class Units(NamedTuple):
    """How rows become z-scores, and how far their genes lie from the reference's."""

    standardize: str
    centre: np.ndarray
    scale: np.ndarray
    offset: np.ndarray | None
    scale_ratio: np.ndarray | None


def choose(
    model: LinearModel | EncoderModel, present: np.ndarray, seen: stats.Finished, standardize: str, force: bool
) -> Units:
    """Choose the statistics that standardise the rows, by what was asked and by how far the genes lie off."""
    n, mean, scale = seen.n, seen.mean, np.sqrt(np.nan_to_num(seen.variance))
    offset = ratio = None
    middle = np.nan
    if model.mean is not None and model.scale is not None:
        if standardize == "none":  # z-scores: the reference's have mean 0 and spread 1
            offset, ratio = mean, scale
        else:
            offset = (mean - model.mean[present]) / model.scale[present]
            ratio = scale / model.scale[present]
        middle = float(np.median(np.abs(offset)))
    chosen = standardize
    if standardize in ("reference", "center") and offset is None:
        msg = (
            f"standardize={standardize!r} needs the mean and spread of the training data, and this {model.kind} model has none: what "
            "others publish does not hold them. Use 'query' for a cohort, or 'none' for values that are z-scores already."
        )
        raise ValueError(msg)
    if standardize == "auto":
        if n >= OWN_STATISTICS:
            chosen = "query"
        elif offset is not None and middle <= OFFSET_WARNS:
            chosen = "reference"
        else:
            if offset is None:
                why = f"this {model.kind} model has no training statistics (what others publish does not hold them)"
                way_out = "Bring z-scores and choose 'none'"
            else:
                why = f"the genes lie a median {middle:.2f} SD off the reference's (at most {OFFSET_WARNS:g})"
                way_out = "Bring them to the reference's scale (otl.pp.match_distribution, then standardize='reference' on that layer)"
            others = [] if n < 2 else ["'query'"] if offset is None else ["'query'", "'center'"]
            msg = (
                f"{n} observation{'s' if n > 1 else ''} cannot be standardised automatically: their own statistics need "
                f"{OWN_STATISTICS} or more, and {why}. {way_out}"
                f"{', or choose ' + ' or '.join(others) + ' knowingly' if others else ''}."
            )
            raise ValueError(msg)
    if chosen == "reference" and middle > OFFSET_REFUSES and not force:
        msg = (
            f"standardize='reference' is refused: the genes lie a median {middle:.1f} SD off the reference's (at most "
            f"{OFFSET_REFUSES:g}). The factors would fit the platform or the scale, not the biology. Use 'query' for a cohort, "
            "otl.pp.match_distribution for single samples, or force=True."
        )
        raise ValueError(msg)
    if chosen in ("query", "center") and n < 2:
        way_out = (
            "Bring z-scores and use 'none'."
            if offset is None
            else "Use 'reference', after otl.pp.match_distribution if the platform differs."
        )
        msg = f"standardize={chosen!r} needs at least 2 observations, got 1. {way_out}"
        raise ValueError(msg)
    if middle > OFFSET_WARNS:
        warn(
            f"The genes lie a median {middle:.1f} SD off those of the reference: another platform, or another scale "
            f"(log base, normalisation). Scores are on the cohort's own statistics ({chosen!r})."
            if chosen in ("query", "center")
            else f"The values lie a median {middle:.1f} SD off 0, so they are no z-scores as standardize='none' takes them to be."
            if chosen == "none"
            else f"The genes lie a median {middle:.1f} SD off those of the reference: another platform, or another scale (log "
            "base, normalisation). With the reference's statistics the factors absorb that shift.",
            TransferWarning,
        )
    if chosen == "query":
        if n < OWN_STATISTICS:
            warn(
                f"Means and spreads of {n} observations are uncertain; from {OWN_STATISTICS} on they can be trusted.",
                TransferWarning,
            )
        return Units(chosen, mean, scale, offset, ratio)
    if chosen == "none":
        return Units(chosen, np.zeros_like(mean), np.ones_like(mean), offset, ratio)
    reference_scale = np.asarray(model.scale, dtype=np.float64)[present]
    if chosen == "center":
        return Units(chosen, mean, np.where(scale > 0, reference_scale, 0), offset, ratio)
    return Units(chosen, np.asarray(model.mean, dtype=np.float64)[present], reference_scale, offset, ratio)


def warn_constant(rows: reader.Expression, used: np.ndarray, units: Units) -> None:
    if not used.all():
        flat = rows.var_names[~used]
        warn(
            f"{flat.size} shared gene{'s' if flat.size > 1 else ''} with one value in all observations cannot be standardised "
            f"by {units.standardize!r} and counted as missing: {listed(flat)}."
        )
