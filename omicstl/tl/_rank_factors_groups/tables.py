"""Which factors a test is about, and its answer as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import DesignWarning, warn
from omicstl._data.results import RELIABLE, reliable
from omicstl.kernels import units
from omicstl.models.factors.factor_tests import Tested, centred

from . import doubts
from .design import Design

if TYPE_CHECKING:
    from anndata import AnnData

_FLAT = 1e-10  # share of a score's sum of squares below which the design leaves nothing
_ROUNDING = 84.0  # root mean square, in machine epsilons of a score's, below which all that is left is rounding


def choose(adata: AnnData, key: str, names: np.ndarray, own: list[str], factors: str) -> np.ndarray:
    """Indices of the factors to test."""
    good = reliable(adata, key) if factors == "reliable" else np.ones(names.size, dtype=bool)
    chosen = np.flatnonzero(good & ~np.isin(names, own))
    if not chosen.size:
        msg = f"None of the {names.size} factors of {key!r} is left to test. "
        if factors == "reliable":
            msg += f"None is expected to be known with a correlation of {RELIABLE:g}; pass factors='all' to test them nevertheless."
        else:
            msg += "All of them are in `factor_covariates`."
        raise ValueError(msg)
    return chosen


def varying(scores: np.ndarray, design: Design, tested: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Leave out factors that do not vary, or that the design determines: their variance would be zero."""
    stored, x, block = scores[np.ix_(design.rows, tested)], design.config.full, design.config.block
    y, exponent = units.standard(stored)
    basis = np.linalg.qr(x)[0]
    left = y - basis @ (basis.T @ y)
    if block is not None:  # nothing varies within blocks, or nothing but the design does
        inside = centred(x, block)
        length = np.linalg.norm(inside, axis=0)
        inside = inside / np.where(length > 0, length, 1.0)
        left = centred(left, block)
        left = left - inside @ (np.linalg.pinv(inside, rcond=1e-8) @ left)
    rounding = _ROUNDING * units.epsilon(stored) * np.ldexp(stored, -exponent)
    flat = np.sum(left**2, axis=0) <= np.maximum(_FLAT * np.sum(y**2, axis=0), np.sum(rounding**2, axis=0))
    if flat.all():
        what = "within blocks " if block is not None else ""
        msg = f"No factor varies {what}beyond what the design explains; there is no variance to test against."
        raise ValueError(msg)
    if flat.any():
        warn(
            f"Left out, because they do not vary beyond what the design explains: {listed(names[tested[flat]])}.",
            DesignWarning,
        )
    return tested[~flat]


def params(design: Design) -> dict[str, Any]:
    """What the design says of itself, in a form that files can hold."""
    config, n_obs = design.config, int(design.rows.sum())
    return {
        "phenotype_kind": "groups" if design.groups else "number",
        "paired": config.within,
        "confidence": config.confidence,
        "n_obs": n_obs,
        "n_blocks": None if config.block is None else int(config.block.max()) + 1,
        "n_dropped": design.rows.size - n_obs,
    }


def tables(answer: Tested, design: Design, names: np.ndarray) -> dict[str, Any]:
    tests, overall = answer.contrasts, answer.overall
    labels = np.array(design.contrasts, dtype=object)
    columns = {"ci_low": "low", "ci_high": "high"}
    measured = (
        "effect",
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
    table = {name: getattr(tests, columns.get(name, name)).ravel(order="F") for name in measured}
    return {
        "table": pd.DataFrame(
            {"factor": np.tile(names, labels.size), "contrast": np.repeat(labels, names.size), **table}
        ),
        "overall": pd.DataFrame(
            {
                "factor": names,
                "F": overall.f,
                "df_between": np.full(names.size, overall.df_between),
                "df_within": overall.df_within,
                "p": overall.p,
                "fdr": overall.fdr,
                "sd": answer.sd,
                "block_correlation": answer.block_correlation,
            }
        ),
        "groups": doubts.sizes(design),
        "correlation": answer.residual_correlation.astype(np.float32),
        "prior": {
            "df": float(answer.prior.df),
            "variance": float(answer.prior.variance),
            "contrasts": pd.DataFrame({"contrast": labels, "df": tests.prior_df, "variance": tests.prior_variance}),
        },
    }
