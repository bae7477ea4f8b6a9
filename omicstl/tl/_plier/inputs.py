"""What `tl.plier` is given, checked and brought into the form of a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicstl._core.checks import MOST_ROUNDS, check_choice, check_number, listed
from omicstl._core.log import warn
from omicstl._data import adata as reader, genesets
from omicstl._data.blocks import RowSource
from omicstl.kernels import stats
from omicstl.models.factors.plier import model as model_parts

if TYPE_CHECKING:
    from anndata import AnnData


WHOLE = ("n_factors", "max_rank", "max_iter")
REAL = ("annotated_fraction", "prior_weight", "score_penalty", "set_penalty", "tol")


class Read(NamedTuple):
    """Sets and genes in use, their rows, and the standardised data."""

    matched: genesets.MatchedSets
    rows: RowSource
    data: model_parts.Prepared


def checked(
    options: model_parts.PlierOptions, holdout: float, *, own_prior: bool, own_start: bool
) -> model_parts.PlierOptions:
    """Refuse numbers out of range, and options that another one makes void, rather than ignore them."""
    if options.n_factors is not None:
        check_number("n_factors", options.n_factors, low=2, integer=True, advice="None lets the data decide.")
    check_number("annotated_fraction", options.annotated_fraction, low=0, high=1)
    check_number("max_rank", options.max_rank, low=1, integer=True)
    check_choice("selection", options.selection, ("complete", "fast"))
    for name in ("prior_weight", "score_penalty", "set_penalty"):
        value = getattr(options, name)
        if value is not None:
            check_number(name, value, low=0, low_open=True, advice="None takes the method's own rule.")
    check_choice("init", options.init, ("svd", "random"))
    check_number("tol", options.tol, low=0)
    check_number(
        "max_iter",
        options.max_iter,
        low=20,
        high=MOST_ROUNDS,
        integer=True,
        advice="The gene sets enter at iteration 20.",
    )
    check_number(
        "holdout", holdout, low=0, high=0.5, low_open=True, advice="The held-out members make the test honest."
    )
    void = [
        ("init", options.init, "svd", own_start, "init_scores"),
        ("holdout", holdout, 0.2, own_prior, "holdout_prior"),
        ("annotated_fraction", options.annotated_fraction, 0.7, options.set_penalty is not None, "set_penalty"),
    ]
    for name, value, default, is_void, other in void:
        if is_void and value != default:
            msg = f"`{name}` has no use beside `{other}`, got {name}={value!r}. Leave one of the two out."
            raise ValueError(msg)
    given = {name: getattr(options, name) for name in (*WHOLE, *REAL)}
    numbers: Any = {name: int(x) if name in WHOLE else float(x) for name, x in given.items() if x is not None}
    return replace(options, **numbers)


def read(
    adata: AnnData, gene_sets: Any, layer: str | None, min_genes: int, n_factors: int | None, *, gram: bool
) -> Read:
    """Match genes and sets, pass over the rows once, leave out genes of one value, and standardise; `gram` allows the Gram form."""
    expression = reader.read(adata, layer=layer)
    matched = genesets.match(genesets.read_gene_sets(gene_sets), expression.var_names, min_genes=min_genes)
    check_samples(expression, n_factors)
    expression = expression.select(matched.columns)
    summary = reader.summarise(expression, gram=gram and 2 * expression.rows.n_rows > expression.rows.n_cols)
    reader.check_scale(expression, summary, expected="log")
    varying = summary.low < summary.high
    if not varying.all():
        matched, summary, expression = drop_constant(matched, summary, expression, varying, min_genes)
    return Read(matched, expression.rows, model_parts.prepare(expression.rows, stats.finish(summary, overwrite=True)))


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
