"""What `tl.plier` is given, checked and brought into the form of a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicstl._core.checks import check_choice, check_number, listed
from omicstl._core.log import warn
from omicstl._data import adata as reader, genesets
from omicstl.kernels import stats
from omicstl.models.factors.plier import model as model_parts


def config(
    n_factors: int | None,
    annotated_fraction: float,
    max_rank: int,
    selection: str,
    prior_weight: float | None,
    score_penalty: float | None,
    set_penalty: float | None,
    init: str,
    tol: float,
    max_iter: int,
) -> model_parts.PlierOptions:
    if n_factors is not None:
        check_number("n_factors", n_factors, low=2, integer=True, advice="None lets the data decide.")
    check_number("annotated_fraction", annotated_fraction, low=0, high=1)
    check_number("max_rank", max_rank, low=1, integer=True)
    check_choice("selection", selection, ("complete", "fast"))
    for name, value in (("prior_weight", prior_weight), ("score_penalty", score_penalty), ("set_penalty", set_penalty)):
        if value is not None:
            check_number(name, value, low=0, low_open=True, advice="None takes the method's own rule.")
    check_choice("init", init, ("svd", "random"))
    check_number("tol", tol, low=0)
    check_number("max_iter", max_iter, low=20, integer=True, advice="The gene sets enter at iteration 20.")
    return model_parts.PlierOptions(
        n_factors=None if n_factors is None else int(n_factors),
        annotated_fraction=float(annotated_fraction),
        max_rank=int(max_rank),
        selection=selection,
        prior_weight=None if prior_weight is None else float(prior_weight),
        score_penalty=None if score_penalty is None else float(score_penalty),
        set_penalty=None if set_penalty is None else float(set_penalty),
        init=init,
        tol=float(tol),
        max_iter=int(max_iter),
    )


def check_unused(options: model_parts.PlierOptions, holdout: float, own_prior: bool, own_start: bool) -> None:
    """Refuse options that another one makes void, rather than ignore them."""
    void = [
        ("init", options.init, "svd", own_start, "init_scores"),
        ("holdout", holdout, 0.2, own_prior, "holdout_prior"),
        ("annotated_fraction", options.annotated_fraction, 0.7, options.set_penalty is not None, "set_penalty"),
    ]
    for name, value, default, is_void, other in void:
        if is_void and value != default:
            msg = f"`{name}` has no use beside `{other}`, got {name}={value!r}. Leave one of the two out."
            raise ValueError(msg)


def check_path(model_path: str | Path | None) -> None:
    """Refuse a place that no model can be written to, before the fit and not after it."""
    if model_path is None:
        return
    path = Path(model_path)
    if not path.parent.is_dir():
        msg = f"The folder {str(path.parent)!r} of `model_path` does not exist; create it first."
        raise FileNotFoundError(msg)
    if path.suffix.lower() in (".h5ad", ".zarr", ".rds"):
        msg = f"`model_path` is for the model alone, and {path.name!r} is the name of another kind of file. Use {path.stem + '.npz'!r}."
        raise ValueError(msg)
    if path.is_dir():
        msg = (
            f"`model_path` must be a file, got the folder {model_path!r}. Give it a name: {str(path / 'plier.npz')!r}."
        )
        raise IsADirectoryError(msg)


def check_samples(expression: reader.Expression, n_factors: int | None) -> None:
    n = expression.rows.n_rows
    if n < 4:
        msg = (
            f"PLIER needs at least 4 observations, got {n}. Bring the factors of a larger cohort to these data instead: "
            "otl.tl.project(adata, reference)."
        )
        raise ValueError(msg)
    if n_factors is not None and n_factors >= n:
        msg = (
            f"`n_factors` must be below the number of observations, got {n_factors} factors for {n} observations "
            f"(at most {n - 1}). Use None to let the data decide, or project onto a larger cohort with otl.tl.project."
        )
        raise ValueError(msg)


def drop_constant(
    matched: genesets.MatchedSets,
    summary: stats.Summary,
    expression: reader.Expression,
    varying: np.ndarray,
    min_genes: int,
) -> tuple[genesets.MatchedSets, stats.Summary, reader.Expression]:
    """Leave out genes that never change: they have no z-score, and the original turns into NaN on one of them."""
    constant = matched.genes[~varying]
    keep = np.flatnonzero(varying)
    membership = sp.csc_array(sp.csr_array(matched.membership)[keep])
    sizes = np.diff(membership.indptr)
    enough = np.flatnonzero(sizes >= min_genes)
    if enough.size == 0:
        msg = (
            f"No gene set keeps {min_genes} genes that vary: {constant.size} of {matched.genes.size} genes have one value "
            "in all observations. Is this the right layer?"
        )
        raise ValueError(msg)
    zero = int(np.sum((summary.high == 0) & (summary.low == 0)))
    warn(
        f"{constant.size} gene{'s' if constant.size > 1 else ''} with one value in all observations"
        f"{f' ({zero} of them all zero)' if zero else ''} left out of the model: {listed(constant)}."
    )
    small = np.flatnonzero(sizes < min_genes)
    lost = matched.lost_sets + [(str(matched.names[j]), int(sizes[j])) for j in small]
    matched = matched._replace(
        columns=matched.columns[keep],
        genes=matched.genes[keep],
        names=matched.names[enough],
        membership=sp.csc_array(membership[:, enough]),
        lost_sets=lost,
    )
    fields = {name: getattr(summary, name)[keep] for name in ("shift", "total", "square", "low", "high")}
    gram = None if summary.gram is None else np.asfortranarray(summary.gram[np.ix_(keep, keep)])
    return matched, summary._replace(gram=gram, **fields), expression.select(keep)


def heldout(
    matched: genesets.MatchedSets, share: float, given: pd.DataFrame | None, generator: np.random.Generator
) -> np.ndarray:
    membership = matched.membership
    if given is None:
        return _tested(model_parts.hold_out(membership, share, generator), f"holdout={share:g}")
    seen = genesets.read_gene_sets(given, argument="holdout_prior")
    rows = pd.Index(seen.genes).get_indexer(pd.Index(matched.genes))
    columns = pd.Index(seen.names).get_indexer(pd.Index(matched.names))
    if (columns < 0).any():
        msg = (
            f"`holdout_prior` lacks {int((columns < 0).sum())} of the {columns.size} gene sets in use: "
            f"{listed(matched.names[columns < 0])}. It must hold the same sets as `gene_sets`, with fewer members."
        )
        raise ValueError(msg)
    trained = sp.csc_array(sp.csr_array(seen.membership)[np.maximum(rows, 0)])[:, columns]
    trained = trained.multiply((rows >= 0)[:, None].astype(np.float32)).tocsc()
    extra = int((trained > membership).sum())
    if extra:
        msg = f"`holdout_prior` has {extra} memberships that `gene_sets` lacks; it must be a part of it."
        raise ValueError(msg)
    column = np.repeat(np.arange(membership.shape[1]), np.diff(membership.indptr))
    marked = np.asarray(trained.tocsr()[membership.indices, column]).ravel() == 0
    if marked.all():
        msg = (
            f"`holdout_prior` keeps none of the {marked.size} memberships of `gene_sets`, so no set could enter the fit. It needs "
            "the same names of genes and sets."
        )
        raise ValueError(msg)
    return _tested(marked, "`holdout_prior`")


def _tested(marked: np.ndarray, how: str) -> np.ndarray:
    if not marked.any():
        warn(f"No gene is held out of any set ({how}): nothing can be tested, and no factor gets the name of a set.")
    return marked


def init_scores(scores: np.ndarray | None, n_rows: int, n_factors: int | None) -> np.ndarray | None:
    if scores is None:
        return None
    scores = np.asarray(scores)
    if scores.dtype.kind not in "iuf":
        msg = f"`init_scores` must be an array of real numbers, got dtype {scores.dtype}."
        raise TypeError(msg)
    if scores.ndim != 2 or scores.shape[1] != n_rows or (n_factors is not None and scores.shape[0] != n_factors):
        wanted = f"({'n_factors' if n_factors is None else n_factors}, {n_rows})"
        msg = (
            f"`init_scores` must have shape {wanted}, factors by observations, got {scores.shape}. Pass its transpose?"
        )
        raise ValueError(msg)
    if n_factors is None:
        msg = f"`init_scores` needs `n_factors`, got None. Pass n_factors={scores.shape[0]}."
        raise ValueError(msg)
    if not np.isfinite(scores).all():
        msg = "`init_scores` contains NaN or infinite values; only finite numbers can start the fit."
        raise ValueError(msg)
    empty = np.flatnonzero(~scores.any(axis=1))
    if empty.size:
        msg = f"`init_scores` has {empty.size} factors of zeros only (row {empty[0]} is the first), which can never change."
        raise ValueError(msg)
    return scores
