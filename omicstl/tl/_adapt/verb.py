"""Labels carried from some domains to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from omicstl._core.log import progress as progress_bar
from omicstl._core.options.adaptation import Adaptation
from omicstl._core.options.alignment import Alignment
from omicstl._core.options.training import Training
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.run import start
from omicstl.tl._shared import domains
from omicstl.tl._shared.predictions import predictions

from . import inputs, result

if TYPE_CHECKING:
    from anndata import AnnData


@public
def adapt(
    adata: AnnData,
    *,
    domain_key: str,
    label_key: str,
    source: str | Sequence[str] | None = None,
    target: str | None = None,
    method: str | Adaptation | Alignment = "auto",
    task: str = "auto",
    obsm: str | None = None,
    layer: str | None = None,
    block: str | None = None,
    class_weight: str | None = None,
    focus: float = 0.0,
    safeguard: bool = True,
    n_members: int | None = None,
    training: Training | None = None,
    rng: SeedLike = 0,
    key_added: str = "adapt",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Predict labels of one domain from others: cohorts, platforms, laboratories, cell lines.

    The domains are brought together, each source counts by what it is worth to the target, a ridge or logistic head is fitted to tolerance, and
    the whole is compared with doing without it. On tables the closed forms are the strong defaults :cite:p:`Lalou2024`.

    Parameters
    ----------
    adata
        All domains in one object, on one scale, such as log expression. Dense, CSR, CSC, backed or dask; read into memory. Shape
        (n_obs, n_vars).
    domain_key
        Column of ``adata.obs`` with the domain of each observation.
    label_key
        What is to be predicted, missing (NaN) where unknown: a column of ``adata.obs`` (classes, or numbers), or a matrix of
        ``adata.obsm`` (several labels of 0 and 1, or several numbers; a DataFrame, or an array with names in ``uns[label_key + "_names"]``).
    source
        The domain, or domains, to learn from, each with at least 10 labels. `None`: all but the target.
    target
        The domain to predict. `None`: the only one without labels, or else the only one where some are missing. Labels that it has are
        used: with the sources' to fit, and to judge them.
    method
        ``"zscore"`` (`ZScore`), ``"coral"`` (`Coral`), ``"linear_transport"`` (`LinearTransport`), ``"subspace_alignment"``
        (`SubspaceAlignment`), ``"none"``, or one of these records with options of its own, e.g. ``otl.tl.Coral(shrinkage=0.1)``.
        ``"auto"`` chooses among them without any label of the target: see Notes. ``"mmd"``, ``"deep_coral"``, ``"sliced_wasserstein"``,
        ``"dann"`` and ``"cdan"`` (`Mmd`, `DeepCoral`, `SlicedWasserstein`, `Dann`, `Cdan`) train networks, and are never chosen for you.
    task
        ``"classification"``, ``"regression"`` or ``"multilabel"``. ``"auto"``: numbers with more than two values are a regression, a matrix
        of 0 and 1 is several labels.
    obsm
        Adapt ``adata.obsm[obsm]`` instead, e.g. an embedding. Shape (n_obs, any).
    layer
        Matrix to use. `None` uses ``adata.X``.
    block
        Column of ``adata.obs``: observations of one block (a patient, a tissue) are left out together wherever a penalty is chosen or
        something is judged.
    class_weight
        ``"balanced"`` gives every class the same total weight. Probabilities are then those of balanced classes.
    focus
        Exponent of the focal loss for classes, for methods that train networks: observations that are predicted well count less, by
        ``(1 - p)^focus``. 0 is cross entropy.
    safeguard
        Fall back where held-out rows speak against the transfer: to the target's own labels, or without enough of them to sources that are
        not aligned.
    n_members
        Members of an ensemble, for methods that train networks.
    training
        Options of training, for methods that train networks.
    rng
        Seed of the folds and of the bootstrap.
    key_added
        Name of everything that is written.
    progress
        Show a bar. `None` follows ``settings.progress``.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes, for all observations (those of domains that are not in use count as new ones of the target)

    ``obsm[key_added]``
        Up to 50 principal axes of the aligned domains, float32, in standard deviations of a variable.
    ``obs[key_added + "_prediction"]``
        The most probable class, or the number that is predicted. In ``obsm`` for several labels or numbers.
    ``obsm[key_added + "_probability"]``
        Of each class, or of each label, float32; columns are named in ``uns[key_added]["outputs"]``.
    ``uns[key_added]``
        ``method`` that was chosen and the one ``used``; ``candidates``: the table that ``"auto"`` chose from; ``sources``: the ``weight``
        of each, the ``skill`` behind it and what that was ``measured_on``; ``safeguard``: the paired ``gap`` with its interval, the
        ``baseline``, and whether it ``fell_back``; ``params``; and the ``model`` for new observations of the target
        (`omicstl.get.model`).

    A prediction for an observation whose label was given comes from fits that had not seen that label, exactly for ridge and by one
    Newton step for logistic regression.

    Raises
    ------
    TypeError
        If an argument, the matrix or a column is of the wrong kind (dates, measured numbers as groups, numbers stored as text).
    KeyError
        If a column, layer or matrix is missing.
    ValueError
        If values are NaN or infinite, numbers of labels are beyond what predictions in float32 can hold or tell apart, a domain is not there, the target cannot be guessed or has fewer than 3 observations, a source has
        fewer than 10 labels, labels are all alike or no classes, a column of labels is empty or has a code or text for missing values, a domain or block is missing, something that is there would be replaced, a name of a gene repeats, or an option has no use for the method or the task.
        `adata` is then unchanged.

    Warns
    -----
    TransferWarning
        If the safeguard fell back, no source is worth anything to the target, two sources contradict each other, all labels of a source are
        of one class, or the target has a class that no source has.

    Notes
    -----
    *Weights of sources.* With 20 labelled observations of the target, 5 of each class and, with `block`, of 5 blocks: the skill there of each source's own head (twice the
    AUROC less 1; the correlation, for numbers), less 1.645 standard errors, over the largest of these and of the same number for the target's
    own labels, left out in turn. Only rows in training are used: in every fold of the safeguard, weights come from the other folds. Without them and
    with three or more sources: the skill between two sources, at the best partner of each; one that no other confirms, each domain z-scored,
    has none. With labels or without, such a source has no part in the choice of a method. One source, or two, cannot be judged without
    labels of the target and have weight 1. Where no source has any, predictions are those of the target's own labels. What no such measure can
    see is a relation that is another one in the target alone.

    *Choice without labels of the target.* Each candidate gets the lowest of up to three numbers, half ranking and half calls (the concordance, for
    numbers): circular validation :cite:p:`Bruzzone2010`, for which the sources' head labels the target and a head of that goes back to be judged
    by the sources; with several sources, each in turn as the target of the others; and rows of the sources left out. Of those within a standard error
    of the best the simplest is taken, from none to subspace alignment: nothing is aligned where that does not show. These numbers see an alignment
    that destroys, hardly one that would help against a nuisance of the target alone; where you know of one, name the method.

    *Safeguard.* With enough labels of the target, five folds of them (twice below 200) compare transfer and target alone; the transfer stays
    if it is better there. That is stricter than an interval that excludes a benefit, which is reported. What learns from the target alone has each
    variable's spread drawn towards the sources', as far as the two differ by no more than chance. Without enough labels, the interval of the alignment
    against none decides, on rows of the sources.

    Up to 500 directions all is exact, also with more variables than observations (covariances are shrunk :cite:p:`Ledoit2004` and never formed
    for all variables); beyond, the leading 500 principal components are used. Two passes over the data. Cost:
    O(min(n, p)² max(n, p)) for each candidate, and some 50 to 100 heads of O(n r²) for the safeguard; 300 observations of 500 genes and three
    domains take about 2 s of one core, 1,500 of 2,000 genes half a minute. Candidates are compared on at most 1,000 rows of a domain.

    Examples
    --------
    >>> import numpy as np
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> adata.obs["cohort"] = ["old"] * 40 + ["new"] * 20
    >>> adata.obs["score"] = np.where(adata.obs["cohort"] == "old", truth.scores[:, 0], np.nan)
    >>> otl.tl.adapt(adata, domain_key="cohort", label_key="score", method="coral")
    >>> new = (adata.obs["cohort"] == "new").to_numpy()
    >>> bool(np.corrcoef(adata.obs["adapt_prediction"][new], truth.scores[new, 0])[0, 1] > 0.5)
    True
    """
    options = inputs.method(method, training, n_members, focus)
    run = start("adapt", adata, key_added, copy=copy, reads=inputs.places(domain_key, label_key, block, obsm))
    random = streams(rng)
    labels = domains.labels(adata, label_key, task)
    where = domains.rows(adata, domain_key, source, target, labels)
    inputs.check_labels(labels, where)
    inputs.check_classes(class_weight, focus, labels.task)
    blocks = inputs.blocks(adata, block)
    expression = domains.read(adata, layer, obsm)
    inputs.check_size(run, expression, labels.task)
    x = inputs.matrix(expression)
    problem = inputs.problem(x, expression.var_names, labels, where, blocks)
    balanced = class_weight == "balanced"
    problem = replace(problem, balanced=balanced, training=training, n_members=n_members, focus=float(focus))
    from omicstl.models.adapt.fit import fit

    with progress_bar(1, "adapt", progress) as bar:
        outcome = fit(problem, options, bool(safeguard), random)
        bar.update()
    params = result.params(outcome.options, where, problem) | {
        "domain_key": domain_key,
        "label_key": label_key,
        "layer": layer,
        "obsm": obsm,
        "block": block,
        "class_weight": class_weight,
        "safeguard": bool(safeguard),
        "seed": str(random.entropy),
    }
    result.doubt(outcome, where)
    decision, latent = result.all_rows(adata, outcome, where, x)
    predicted = predictions(labels.task, decision)
    written = run.commit(
        result.about(outcome, problem, where),
        params=params,
        model=outcome.fitted.model,
        names=outcome.fitted.model.names,
        obs=predicted.obs,
        obsm={"": latent, **predicted.obsm},
    )
    run.tell(*result.sentences(outcome, where))
    return written
