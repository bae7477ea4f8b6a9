"""What `tl.scdeal` writes and says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.random import Streams
from omicstl._data.run import Run, spread_out
from omicstl.tl._shared import screen

from . import evaluation, groups

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.response.fit import ResponseFit
    from omicstl.models.response.report import Report
    from omicstl.models.transfer.screen import Lines

    from .levels import Fitted


class Described(NamedTuple):
    """A fit with all that goes with its scores. Cells m, drugs d, latent variables k."""

    model: Any  # `ResponseModel`, or the one of networks
    latent: np.ndarray  # (m, k)
    score: np.ndarray  # (m, d) calibrated
    std: np.ndarray  # (m, d)
    codes: np.ndarray  # (m, d) calls
    novelty: np.ndarray  # (m,)
    sign_share: np.ndarray  # (p, d) stability of the weights of genes
    lines: pd.DataFrame
    nearest: pd.DataFrame
    kinds: pd.DataFrame
    clusters: pd.DataFrame | None


def describe(read: screen.Read, fitted: Fitted, clusters: np.ndarray | None, random: Streams) -> Described:
    """Calibrate and call; novelty, nearest lines, clusters of another kind, stability of weights."""
    from omicstl.models.response import report

    lines, target, fit = read.lines, read.target, fitted.fit
    about = report.report(lines, target.cells, fit, fitted.refit, random, fitted.n_targets)
    model: Any = replace(fit.model, features=target.genes.astype(object), calibration=about.calibration)
    near = groups.nearest(lines, target.cells, clusters, read.mask, target.moments.mean)
    kinds, foreign = groups.kinds(lines, target.cells, clusters, target.genes, random)
    novelty = report.novelty_of(model, fit.latent_cells)
    codes = report.called(model, fit.score, novelty, ~foreign if read.mask is None else read.mask & ~foreign)
    score, std = report.calibrated(model, fit.score, fit.std)
    return Described(
        model,
        fit.latent_cells,
        score,
        std,
        codes,
        novelty,
        about.stability.sign_share,
        drugs_table(lines, fit, about),
        near,
        kinds,
        groups.summary(model, fit.score, fit.latent_cells, clusters, codes, novelty),
    )


def params(read: screen.Read, fitted: Fitted) -> dict[str, Any]:
    """What was used and found on the way, in a form that files can hold."""
    from omicstl.models.response import report

    chosen = fitted.fit.chosen
    return {
        "level": fitted.words,
        "level_citation": fitted.citation,
        "level_reason": fitted.why,
        "align": chosen["align"],
        "align_reason": chosen["reason"],
        "scale": read.target.scale,
        "call_error": report.ERROR,
        "n_obs": read.target.cells.rows.n_rows,
        "n_lines": len(read.lines.x),
        "n_genes": int(read.target.genes.size),
        "n_shared": read.n_shared,
        "n_constant": read.n_constant,
    }


def about(read: screen.Read, fitted: Fitted, told: Described, truth: evaluation.Truth | None) -> dict[str, Any]:
    """Tables of drugs, of what was chosen, of lines and clusters, and the comparison with labels where there are any."""
    found: dict[str, Any] = {
        "drugs": told.model.drugs,
        "lines": told.lines,
        "selection": selection_table(fitted.fit.chosen["table"]),
        "nearest_lines": told.nearest,
        "kinds": told.kinds,
    }
    if told.clusters is not None:
        found["clusters"] = told.clusters
    if fitted.levels is not None:
        found["levels"] = selection_table(fitted.levels)
    if truth is not None:
        found["evaluation"] = evaluation.compare(truth, told.score, read.lines.drugs, read.mask)
    return found


def weights(adata: AnnData, read: screen.Read, told: Described) -> dict[str, np.ndarray]:
    """Weights of genes and their stability among all variables, by what stands behind the key."""
    values = {"": told.model.weights, "_stability": told.sign_share}
    return {end: spread_out(adata, read.target.have, np.nan_to_num(value)) for end, value in values.items()}


def check_size(run: Run, n_genes: int, n_comps: int, n_drugs: int, n_members: int) -> None:
    """Refuse, before the fit, a model that is too large to travel."""
    size = 4 * (n_genes * (2 * n_comps + 36) + n_comps * n_comps + n_comps * n_drugs * (n_members + 1))
    what = f"{n_genes} genes, {n_comps} components, {n_drugs} drugs, {n_members} members"
    run.check_size(size, what, "fewer drugs, or level=otl.tl.ResponseRidge(n_comps=100, n_members=10)", file=False)


def drugs_table(lines: Lines, fit: ResponseFit, found: Report) -> pd.DataFrame:
    """What is known of each drug's predictor without the cells, one row a drug."""
    y = lines.y
    return pd.DataFrame(
        {
            "drug": np.asarray(lines.drugs, dtype=object),
            "n_lines": np.isfinite(y).sum(axis=0),
            "n_sensitive": np.where(lines.binary, np.nansum(y, axis=0), np.nan),
            "rho_left_out": found.rho,
            "penalty": fit.penalty,
            "smoothing": fit.model.strength,
            "slope": found.calibration["slope"],
            "intercept": found.calibration["intercept"],
            "residual": found.calibration["residual"],
            "resistant_to": found.calibration["resistant_to"],
            "sensitive_from": found.calibration["sensitive_from"],
            "weights_rank_correlation": found.stability.rank_correlation,
            "weights_top_overlap": found.stability.top_overlap,
        }
    )


def selection_table(table: dict[str, np.ndarray]) -> pd.DataFrame:
    """Ways to align that were compared; empty where one was asked for."""
    return pd.DataFrame(table or {"candidate": np.zeros(0, dtype=object)})


def doubt(read: screen.Read, told: Described) -> None:
    """Warn before anything is written, in case that warnings are errors."""
    screen.few_genes(read.target.genes.size)
    groups.doubt_own_line(told.nearest)
    groups.doubt_kinds(told.kinds)


def sentence(read: screen.Read, fitted: Fitted) -> str:
    """What is told of the fit."""
    lines = read.lines
    n = lines.drugs.size
    genes = read.target.genes.size
    other = "" if fitted.citation else " (not the network of scDEAL, which is level='network')"
    return f"{n} drug{'s' if n > 1 else ''} from {len(lines.x)} lines on {genes} shared genes; {fitted.words}{other}."
