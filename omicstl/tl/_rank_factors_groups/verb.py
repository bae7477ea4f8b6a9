"""Which factors differ between groups, or follow a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from omicstl._core.checks import check_choice, check_number, missing_key
from omicstl._core.public import public
from omicstl._data.columns import check_names, level_name
from omicstl._data.results import factor_names, score_key
from omicstl._data.run import start
from omicstl.models.factors import factor_tests
from omicstl.models.factors.plier.model import PlierModel

from . import doubts, tables
from .design import build

if TYPE_CHECKING:
    from anndata import AnnData

_NEWEST = {"plier": PlierModel.version, "projection": 1}
"""Versions of results that we read, by kind."""
_LARGEST = 1e50  # of scores: their variances are squared


@public
def rank_factors_groups(
    adata: AnnData,
    phenotype: str,
    *,
    key: str | None = None,
    reference_group: str | None = None,
    block: str | None = None,
    paired: bool = False,
    covariates: Sequence[str] = (),
    factor_covariates: Sequence[str] = (),
    factors: str = "reliable",
    confidence: float = 0.95,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Test which factors differ between groups, or follow a number: moderated t and F tests :cite:p:`Smyth2004`.

    Answers which pathways differ, by how much and how surely, with repeated observations of one person accounted for.
    Each factor's scores are a linear model of the phenotype and the covariates, with a random intercept for each block,

    .. math:: b_{ij} = x_i^\top \beta_j + u_{s(i) j} + e_{ij},

    and the variances of all factors inform each other.

    Parameters
    ----------
    adata
        Observations with factor scores of `tl.plier` or `tl.project`. Only `obs`, ``obsm[key]`` and ``uns[key]`` are read.
    phenotype
        Column of `obs`. Categories, text and truth values are groups, which are compared with each other; here and in all
        columns empty text is a missing value. Numbers, also whole ones, are measured: the effect is the slope per unit. To
        compare numbered groups, turn them into categories with ``.astype("category")``; for 0 and 1 both are the same test.
    key
        Name that the scores were written under. `None` takes the only ones there.
    reference_group
        Group that all others are compared with. `None` compares all pairs, later minus earlier in the order of the
        categories (sorted text).
    block
        Column of `obs` that says which observations belong together, such as the patient. Between-patient and within-patient
        differences then each get the weight that they deserve. Groups may differ between or within blocks.
    paired
        Compare within blocks alone, as in a paired t test: blocks become fixed effects. For before and after.
    covariates
        Columns of `obs` to adjust for, numbers or groups.
    factor_covariates
        Names of factors to adjust for, such as those of cell types; they are not tested.
    factors
        ``"reliable"`` tests those that refits find again and that the genes at hand determine (each at least 0.8, where it is
        known), ``"all"`` every one.
    confidence
        Coverage of the intervals.
    key_added
        Name of what is written. `None` takes ``f"{key}_test"``.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes ``uns[key_added]``:

    ``table``
        One row for each factor and contrast: ``contrast`` ("B - A", or the name of the number), ``effect`` in units of the
        score (per unit of the number) with ``se``, ``ci_low`` and ``ci_high``; ``effect_sd``, the effect in standard
        deviations between observations of one group, with ``effect_sd_low`` and ``effect_sd_high``; ``t``, ``df``, ``p``, and
        ``fdr`` over the factors of the contrast :cite:p:`Benjamini1995`.
    ``overall``
        One row for each factor: ``F`` of the phenotype as a whole, ``df_between``, ``df_within``, ``p``, ``fdr``, the ``sd`` of
        ``effect_sd`` and ``block_correlation``, the correlation of two observations of one block (NaN without `block`).
    ``groups``
        ``n_obs`` and ``n_blocks`` of each group (paired: blocks in which it meets another group).
    ``correlation``
        Correlation of residuals between factors, float32, shape (k, k), in the order of ``overall``.
    ``prior``, ``params``
        What the variances have in common (``df`` and ``variance`` of observations; ``contrasts`` of each contrast), and the
        arguments with ``n_obs``, ``n_blocks``, ``n_dropped`` and ``n_factors``.

    Raises
    ------
    KeyError
        If scores, a column or a factor are missing.
    TypeError
        If an argument is of the wrong kind, or a column holds dates or complex numbers, or `block` measured ones.
    ValueError
        If there is one group, nothing varies, covariates are confounded (they are named), `block` is the observation itself or
        has one value, degrees of freedom are used up, no factor is reliable, two comparisons would have the same name, or
        `key_added` holds something else, or a column has infinite values, a code for missing numbers or the text "nan"; if numbers
        differ by less than floats of their size resolve, a numeric phenotype spans less than 1e-100 or more than 1e100, or scores
        are beyond 1e50. `adata` is then unchanged.

    Warns
    -----
    DesignWarning
        If a column looks like a person with repeats and there is no `block`, a group is tiny, a value reads "nan" or the like,
        more than half of the observations lack a value, or a factor does not vary and is left out.
    TransferWarning
        If the scores are of a projection that was refused.

    Notes
    -----
    Without `block` these are the tests of limma (``lmFit`` and ``eBayes``) :cite:p:`Ritchie2015`. With `block`, each factor
    has a correlation of its own, estimated by REML and 0 where it would be negative, as in ``dream`` :cite:p:`Hoffman2021`;
    limma's ``duplicateCorrelation`` takes one correlation for all. Standard errors and degrees of freedom allow for the
    variances being estimates :cite:p:`KenwardRoger1997` (with the expected information), which holds the error rate where
    patients are few. The variance that is moderated is that of the contrast (of several together: :math:`\det^{1/q}`), by
    Smyth's equations of section 6.2 with unequal degrees of freedom. Any two observations of a block are equally
    correlated, however far apart. Below 3 factors there is no prior and tests are ordinary. ``effect_sd`` divides by the
    moderated SD; its interval is that of the noncentrality of t, widened with `block` where the SD is known less well than
    the standard error. Numbers are centred and scaled before anything is computed, so that neither the origin nor the unit of a
    phenotype, a covariate or the scores matters but for the unit of effects. O(n · k) with small constants; a second for 1,000 observations and 1,000 factors.

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> reference, query = both[:60].copy(), both[60:].copy()
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=60, tol=1e-3)
    >>> otl.tl.project(query, reference)
    >>> query.obs["treated"] = ["no", "yes"] * 10
    >>> otl.tl.rank_factors_groups(query, "treated")
    >>> otl.get.rank_factors_groups_df(query).columns[:3].tolist()
    ['factor', 'contrast', 'effect']
    """
    check_choice("factors", factors, ("reliable", "all"))
    check_number("confidence", confidence, low=0, high=1, low_open=True, high_open=True, advice="0.95 is usual.")
    columns = check_names("covariates", covariates, "age")
    own = check_names("factor_covariates", factor_covariates, "LV3 Neutrophil")
    key = score_key(adata, key)
    target = f"{key}_test" if key_added is None else key_added
    run = start("rank_factors_groups", adata, target, copy=copy)
    _check_version(adata, key)
    _check_roles(phenotype, block, paired, columns)
    names, scores = factor_names(adata, key), _scores(adata, key, own)
    design = build(
        adata.obs,
        phenotype,
        reference_group=reference_group,
        block=block,
        paired=paired,
        covariates=columns,
        scores={name: scores[:, names.tolist().index(name)] for name in own},
        confidence=confidence,
    )
    tested = tables.choose(adata, key, names, own, factors)
    doubts.warn_of_transfer(adata.uns[key], key)
    doubts.tell_of_missing(design, adata.n_obs)
    tested = tables.varying(scores, design, tested, names)
    doubts.warn_of_design(adata.obs, design, phenotype, block, set(columns))
    answer = factor_tests.fit(scores[np.ix_(design.rows, tested)], design.config)
    params = {
        "key": key,
        "phenotype": phenotype,
        "reference_group": None if reference_group is None else level_name(reference_group),
        "block": block,
        "covariates": np.array(columns, dtype=object),
        "factor_covariates": np.array(own, dtype=object),
        "factors": factors,
        "n_factors": int(tested.size),
        **tables.params(design),
    }
    written = run.commit(tables.tables(answer, design, names[tested]), params=params)
    found = int((answer.overall.fdr < 0.05).sum())
    run.tell(f"{found} of {tested.size} factors with FDR < 0.05 for {phenotype!r}.")
    return written


def _scores(adata: AnnData, key: str, own: list[str]) -> np.ndarray:
    """Scores of all factors, checked; those that are covariates must be among them."""
    names, scores = factor_names(adata, key), np.asarray(adata.obsm[key], dtype=np.float64)
    if not np.isfinite(scores).all():
        msg = f"adata.obsm[{key!r}] holds values that are not finite. Write the scores again with the verb they came from."
        raise ValueError(msg)
    largest = float(np.abs(scores).max(initial=0))
    spread = np.ptp(np.clip(scores, -_LARGEST, _LARGEST), axis=0)
    least = float(spread[spread > 0].min(initial=np.inf))
    if largest > _LARGEST or least < 1 / _LARGEST:
        found = f"values up to {largest:.3g}" if largest > _LARGEST else f"a factor that spans {least:.3g}"
        msg = (
            f"adata.obsm[{key!r}] has {found}; variances can be written for scores and spans between {1 / _LARGEST:g} and {_LARGEST:g}. "
            "Write the scores again with the verb they came from, or multiply all by a constant."
        )
        raise ValueError(msg)
    for name in own:
        if name not in names:
            raise missing_key(name, f"factors of {key!r}", names)
    return scores


def _check_version(adata: AnnData, key: str) -> None:
    version = adata.uns[key].get("version")
    if not isinstance(version, (int, np.integer)) or version < 1:
        msg = f"adata.uns[{key!r}] does not say its version: it is of an older omicstl. Run otl.tl.project or otl.tl.plier again."
        raise ValueError(msg)
    newest = _NEWEST.get(str(adata.uns[key]["kind"]), version)
    if version > newest:
        msg = f"adata.uns[{key!r}] is of version {version}, this omicstl reads up to {newest}. Update omicstl."
        raise ValueError(msg)


def _check_roles(phenotype: str, block: str | None, paired: bool, covariates: list[str]) -> None:
    if paired and block is None:
        msg = "paired=True compares within blocks, but there is no `block`. Say which column pairs: block='subject'."
        raise ValueError(msg)
    for name, role in ((phenotype, "the phenotype"), (block, "the block")):
        if name in covariates:
            msg = f"{name!r} is {role} and cannot be a covariate as well. Leave it out of `covariates`."
            raise ValueError(msg)
    if block == phenotype:
        msg = f"{block!r} cannot be the phenotype and the block. `block` says which observations are of one person."
        raise ValueError(msg)
