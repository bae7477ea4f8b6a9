"""What a projection says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn

from .found import Found
from .rows import Matched

if TYPE_CHECKING:
    from omicstl.models.base import Model

INTERPRETABLE = 0.8
FEW_GENES = 0.5
LITTLE_VARIANCE = 0.8


def measure(model: Model, matched: Matched, found: Found) -> dict[str, Any]:
    scored, units = found.scored, matched.units
    assessed = np.isfinite(scored.r2)
    above = float(np.mean(scored.r2[assessed] > scored.r2_null[assessed])) if assessed.any() else np.nan
    middle = float(np.median(scored.r2[assessed])) if assessed.any() else np.nan
    verdict = _verdict(above, middle, found.expected_r2)
    quality: dict[str, Any] = {
        "factors": pd.DataFrame(
            {
                "factor": model.names,
                "expected_r": found.factor.expected_r,
                "expected_slope": found.factor.expected_slope,
                "present_loading": found.factor.present_loading,
                "interpretable": (found.factor.expected_r >= INTERPRETABLE) & (verdict != "refused"),
            }
        ),
        "gene_coverage": float(matched.present.size / model.features.size),
        "missing_genes": matched.missing,
        "r2": middle,
        "r2_expected": found.expected_r2,
        "r2_null": float(np.median(scored.r2_null[assessed])) if assessed.any() else np.nan,
        "share_above_null": above,
        "verdict": verdict,
        "shared_genes": matched.shared,
        **found.quality,
    }
    if units.offset is not None and units.scale_ratio is not None:
        quality["offset"] = units.offset
        quality["scale_ratio"] = units.scale_ratio
        quality["median_offset"] = float(np.median(np.abs(units.offset)))
    return quality


def _verdict(above: float, r2: float, expected: float) -> str:
    if not np.isfinite(above):
        return "not assessed"
    if above < 0.5:
        return "refused"
    return "supported" if r2 >= 0.5 * expected else "weak"


def sentence(quality: dict[str, Any], standardize: str) -> str:
    return (
        f"Projected with {quality['gene_coverage']:.0%} of the reference's genes, standardised by {standardize!r}; "
        f"verdict: {quality['verdict']}."
    )


def doubt(quality: dict[str, Any], key: str) -> None:
    factors = quality["factors"]
    poor = factors["factor"][factors["expected_r"] < INTERPRETABLE]
    captured = quality.get("captured_variance", 1.0)
    if captured < LITTLE_VARIANCE:
        warn(
            f"The genes at hand ({quality['gene_coverage']:.0%} of the reference's) carry {captured:.0%} of the variance of its "
            "components; the rest is filled in from them.",
            TransferWarning,
        )
    elif quality["gene_coverage"] < FEW_GENES:
        warn(f"Only {quality['gene_coverage']:.0%} of the reference's genes are in the data.", TransferWarning)
    if len(poor):
        warn(
            f"Do not interpret {len(poor)} of {len(factors)} factors: with the genes at hand their scores are expected to "
            f"correlate below {INTERPRETABLE:g} with the full ones: {listed(poor)}. See uns[{key!r}]['quality']['factors'].",
            TransferWarning,
        )
    if quality["verdict"] == "refused":
        warn(
            f"Transfer refused: held-out genes are no better predicted than with permuted genes (median R² {quality['r2']:.3f}, "
            f"permuted {quality['r2_null']:.3f}, {quality['share_above_null']:.0%} of the observations above it). This reference "
            "does not fit these data: wrong tissue, species or gene names? Do not interpret the scores.",
            TransferWarning,
        )
    elif quality["verdict"] == "weak":
        warn(
            f"Weak transfer: held-out genes have a median R² of {quality['r2']:.3f}, the reference itself {quality['r2_expected']:.3f} "
            f"(permuted genes {quality['r2_null']:.3f}).",
            TransferWarning,
        )
