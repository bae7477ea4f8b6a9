"""May this transfer be used? What can be asked without labels of the target."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omicstl._core.checks import check_choice, listed, missing_key
from omicstl._core.log import TransferWarning, info
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.adata import check_adata
from omicstl._data.columns import groups
from omicstl._data.run import start
from omicstl.models.assess import projection
from omicstl.models.assess.report import KIND, LEVELS, entry

if TYPE_CHECKING:
    from anndata import AnnData

KINDS = ("projection", "adapt", "scdeal")


@public
def assess(
    adata: AnnData,
    reference: AnnData | None = None,
    *,
    key: str | None = None,
    drugs: Sequence[str] | None = None,
    level: str = "fast",
    batch_key: str | None = None,
    rng: SeedLike = 0,
    copy: bool = False,
) -> AnnData | None:
    r"""Say whether a transfer may be used: "supported", "caution" or "do not use", and why.

    No label of the target is read. The lines are asked whether there is a signal in them that is more than tissue and the same in every
    study; the cells, whether their genes are those of the lines, move together as in the lines, and whether the programme
    that predicts response in lines varies in them at all; the score, whether it follows depth, cell cycle or a plain baseline. The
    worst answer decides. "supported" means that every check that could be made was passed, and no more: it is no claim that the
    transfer is right, nor its sign, nor anything about a patient.

    Parameters
    ----------
    adata
        An AnnData that `omicstl.tl.project`, `omicstl.tl.adapt` or `omicstl.tl.scdeal` has written to.
    reference
        The lines that `omicstl.tl.scdeal` learnt from. `None` for the other two, which need none.
    key
        Name that the transfer was written under. `None` takes the only one there.
    drugs
        Names of drugs to assess, of those that were predicted. `None` takes all of them.
    level
        ``"fast"``: cheap nulls and closed-form baselines. ``"full"``: ten times the permutations, gradient boosting on at most
        500 screened genes, networks without alignment, and ways of alignment by every criterion. What it is going to cost is printed
        before it starts.
    batch_key
        Column of ``adata.obs`` with batches, which the score should not follow.
    rng
        Seed of permutations and samples.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes ``uns[f"{key}_assessment"]``:

    ``verdict``, ``reasons``, ``sentence``
        The word; sentences of what speaks against it; and what no check can tell, which belongs to every report.
    ``score``
        Rank correlation of score and response, 0 to 1, that the source and these cells allow *if* the relation of genes to
        response is the same: that in lineages left out, times the square root of the share of the score's variance that its genes
        have in common over the cells. Of a projection: R² of held-out genes beside that of the reference, 0 to 1.
    ``checks``
        One row each: ``check``, ``status`` ("passed", "caution", "failed", "not checked"), ``value``, ``limit``, ``null`` (the
        mean of the value where there is nothing to find) and ``why``, a sentence.
    ``baselines``
        ``drug``, ``baseline``, ``agreement`` (rank correlation of its scores of the cells with the score), ``source_rho`` (with the
        response of lines whose lineage it has not seen) and ``note``.
    ``nulls``
        ``drug``, ``check``, ``value``, and ``mean``, ``sd``, ``upper`` (95 %), ``p`` and ``n`` of the permutations.
    ``shift``
        How both sides differ, as they come and each side z-scored: ``measure`` (kind of shift with its tests; proxy A-distance and MMD with
        permuted sides; the share of sensitive cells by EM and BBSE, with interval and condition; three terms of the bound
        :cite:p:`BenDavid2010`), ``of``, ``value``, ``null``, ``p``, ``note``. Diagnostics: they have no part in the word.
    ``selection``
        ``candidate``, ``criterion`` (lineages left out, importance-weighted and deep-embedded risk with the effective number of lines,
        circular, pseudo-cells), ``value``, ``low``, ``high``, ``note``; the row "taken" is what the transfer uses, and why.
    ``drugs``
        ``drug``, ``verdict``, ``score``, ``n_lines``, ``source_rho``, ``within_lineages``, ``general_rho`` (a model of
        general sensitivity), ``programme`` and ``against`` (names of checks, joined by "; "). Of several drugs, the checks at the top are
        those of what they share, genes and cells, the word there is that of the best of them, and ``drug_checks`` has the checks of each.
    ``params``
        What was assessed and how. What it cost is told when it is done.

    Raises
    ------
    KeyError
        If there is no transfer under `key`, or several and no `key`, or `batch_key` or a drug is missing.
    ValueError
        If `level` is neither of the two, `reference` is missing or of no use, nothing shared varies, or a batch is missing.
    TypeError
        If an argument or a column is of the wrong kind.

    Notes
    -----
    A check that could not run is listed as "not checked"; where it is one that support rests on, the word is at most "caution". Limits are
    twice to 2.6 times the standard deviation above the mean of a permutation null, and stand in the table. **What no check here can see**
    is a relation that is the same in all lines and another one in the cells.

    Principal vectors are those of :cite:p:`Mourragui2019`, here of the leading 20 components of each side; the share of sensitive
    cells is estimated as in :cite:p:`Saerens2002`. Cost: at most 2,000 cells are looked at (5,000 for ``"full"``). 500 lines, 3,000 genes
    and 1,000 cells take 1 CPU second ("fast"), and 25 for one drug ("full": 11 for networks of all drugs, 4 for boosting, 7 for ways
    of alignment); each further drug takes 1 or 6.

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> reference, query = both[:60].copy(), both[60:].copy()
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=60, tol=1e-3)
    >>> otl.tl.project(query, reference)
    >>> otl.tl.assess(query)
    >>> query.uns["plier_assessment"]["verdict"]
    'supported'
    """
    check_choice("level", level, LEVELS)
    key = transfer_key(adata, key)
    kind = str(adata.uns[key]["kind"])
    run = start("assess", adata, f"{key}_{KIND}", copy=copy)
    if batch_key is not None:
        groups(adata, batch_key, argument="batch_key", category=TransferWarning)
    random, since = streams(rng), time.process_time()
    params = {"key": key, "kind": kind, "level": level, "batch_key": batch_key, "rng": random.entropy}
    if kind == "projection":
        _refuse(kind, reference=reference, drugs=drugs, batch_key=batch_key)
        found = entry(projection.judge(adata.uns[key]), params, **projection.tables(adata.uns[key]))
    else:
        from . import inputs

        found = inputs.judge(adata, reference, key, drugs, params, random)
    written = run.commit(found, params=found["params"])
    run.tell(_sentence(found, time.process_time() - since))
    info(found["sentence"])
    return written


def transfer_key(adata: AnnData, key: str | None) -> str:
    """Key of a transfer that can be assessed."""
    check_adata(adata)
    there = [
        str(name) for name, value in adata.uns.items() if isinstance(value, Mapping) and value.get("kind") in KINDS
    ]
    if key is not None:
        if key not in there:
            raise missing_key(key, "the transfers in adata.uns", there)
        return key
    if len(there) == 1:
        return there[0]
    if there:
        msg = f"adata holds {len(there)} transfers: {listed(sorted(there))}. Say which one: key={sorted(there)[0]!r}."
    else:
        msg = "adata holds no transfer. Make one with otl.tl.project, otl.tl.adapt or otl.tl.scdeal first."
    raise KeyError(msg)


def _refuse(kind: str, **given: Any) -> None:
    """An option that a kind does not use is an error."""
    for name, value in given.items():
        if value is not None:
            msg = f"`{name}` is not used for a {kind}, got {type(value).__name__}. Leave it out."
            raise ValueError(msg)


def _sentence(found: Mapping[str, Any], seconds: float) -> str:
    n = int((found["checks"]["status"] == "passed").sum())
    return (
        f"Verdict: {found['verdict']} ({n} of {len(found['checks'])} checks passed, level {found['params']['level']!r}, "
        f"{seconds:.1f} CPU s)."
    )
