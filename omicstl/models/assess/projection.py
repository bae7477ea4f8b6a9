"""What a projection has measured of itself, as checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .baselines import Baseline
from .decide import Check, Verdict, above, below, decide, unchecked
from .source import Null
from .tables import nothing

NEEDED = ("held-out genes",)
FEW_OBSERVATIONS = 10
GENES, VARIANCE, FACTORS, OFFSET = 0.5, 0.8, 0.8, 1.0


def judge(entry: Mapping[str, Any]) -> Verdict:
    """Turn the quality of a projection into checks and a word; the score is R² beside the reference's own."""
    quality, n = entry["quality"], int(entry["params"]["n_obs"])
    above_null, r2, expected = (float(quality.get(name, np.nan)) for name in ("share_above_null", "r2", "r2_expected"))
    few = f"{n} observations were projected" + (
        f"; with fewer than {FEW_OBSERVATIONS} hardly anything can be checked." if n < FEW_OBSERVATIONS else "."
    )
    checks = [Check("number of observations", above(n, doubt=FEW_OBSERVATIONS), n, FEW_OBSERVATIONS, few)]
    coverage = float(quality["gene_coverage"])
    said = f"{100 * coverage:.0f} % of the reference's genes were measured."
    said = f"Few shared genes: {said}" if coverage < GENES else said
    checks.append(Check("shared genes", above(coverage, doubt=GENES), coverage, GENES, said))
    if "captured_variance" in quality:
        captured = float(quality["captured_variance"])
        said = f"They carry {100 * captured:.0f} % of the variance of its components."
        checks.append(Check("captured variance", above(captured, doubt=VARIANCE), captured, VARIANCE, said))
    checks += _held_out(quality, above_null, r2, expected)
    share = float(np.mean(np.asarray(quality["factors"]["expected_r"], dtype=float) >= FACTORS))
    said = f"The genes at hand determine {100 * share:.0f} % of the factors (expected correlation {FACTORS:g} or more)."
    said = said if share >= 1 else f"{said} Do not interpret the others."
    checks.append(Check("determined factors", above(share, fail=1e-9, doubt=0.5), share, 0.5, said))
    if "median_offset" in quality:
        offset = float(quality["median_offset"])
        said = f"Genes lie a median of {offset:.1f} SD off the reference."
        said = f"{said} Another platform, scale or tissue." if offset > OFFSET else said
        checks.append(Check("offset of genes", below(offset, doubt=OFFSET), offset, OFFSET, said))
    else:
        checks.append(unchecked("offset of genes", "Offset of genes not checked: it is not measured for these units."))
    score = r2 / expected if np.isfinite(expected) and expected > 0 else np.nan
    return decide(checks, float(np.clip(score, 0, 1)), needed=NEEDED)


def tables(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a projection has of nulls and baselines, and why it has nothing of the rest."""
    quality = entry["quality"]
    r2, null, expected = (float(quality.get(name, np.nan)) for name in ("r2", "r2_null", "r2_expected"))
    baselines = [
        Baseline("permuted genes", None, np.nan, f"R² of held-out genes {null:.2f}, of this projection {r2:.2f}"),
        Baseline("the reference's own samples", None, np.nan, f"R² of held-out genes {expected:.2f}"),
        Baseline("models of a response", None, np.nan, "not checked: a projection predicts no response"),
    ]
    found = [Null("held-out genes", r2, null, np.nan, np.nan, np.nan, 0)] if np.isfinite(null) else []
    why = (
        "a projection reads no labels, and the samples of its reference do not travel with it; see the offset of genes"
    )
    return {"baselines": baselines, "nulls": found, **nothing(why)}


def _held_out(quality: Mapping[str, Any], above_null: float, r2: float, expected: float) -> list[Check]:
    """R² of genes that were held out, beside permuted genes and beside the reference."""
    if not np.isfinite(above_null):
        said = "Held-out genes not checked: there are fewer than 3 observations, or no gene varies."
        return [unchecked("held-out genes", said), unchecked("beside the reference", said)]
    null = float(quality.get("r2_null", np.nan))
    said = (
        f"In {100 * above_null:.0f} % of the observations held-out genes are predicted better than with permuted genes."
    )
    if above_null < 0.5:
        said = f"This reference does not describe these data: {said} Wrong tissue, species or gene names?"
    first = Check("held-out genes", above(above_null, fail=0.5, doubt=0.8), above_null, 0.5, said, 0.0)
    if not np.isfinite(expected):
        return [first, unchecked("beside the reference", "Beside the reference not checked: its own R² is not known.")]
    said = f"R² of held-out genes is {r2:.2f}; the reference's own samples reach {expected:.2f}, permuted genes {null:.2f}."
    said = f"Weak transfer: {said}" if r2 < 0.5 * expected else said
    return [first, Check("beside the reference", above(r2, doubt=0.5 * expected), r2, 0.5 * expected, said, null)]
