"""Drug response of single cells, learnt from a screen of cell lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import check_flag
from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.response_network import ResponseNetwork
from omicstl._core.options.training import Training
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.commit import check_target, commit
from omicstl.tl._assess import result as assessed
from omicstl.tl._assess.extra import choice_of_screen, of_members, of_screen
from omicstl.tl._assess.general import with_whole_table
from omicstl.tl._assess.inputs import confounders

from . import evaluation, groups, inputs, levels, result

if TYPE_CHECKING:
    from anndata import AnnData


def scdeal(
    adata: AnnData,
    reference: AnnData,
    *,
    drugs: Sequence[str] | None = None,
    response_key: str | None = None,
    sensitive: str | None = None,
    level: str | ResponseRidge | ResponseNetwork = "auto",
    lineage_key: str | None = None,
    study_key: str | None = None,
    cluster_key: str | None = None,
    eval_key: str | None = None,
    mask_obs: str | None = None,
    exclude_lines: Sequence[str] = (),
    min_shared: int = 100,
    scale: str = "auto",
    layer: str | None = None,
    safeguard: bool = True,
    training: Training | None = None,
    rng: SeedLike = 0,
    key_added: str = "scdeal",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Predict drug response of single cells from a screen of cell lines, and say when not to.

    Cells receive, lines are read. The answer is a ranking of cells by a programme that goes with response in lines, calibrated on lines
    whose lineage was left out, with calls that stay "uncertain" where lines do not allow one. Nothing here can tell whether genes and response
    are related in the same way in these cells: read ``uns[key_added + "_assessment"]`` first. scDEAL :cite:p:`Chen2022` poses the
    task; the linear level is not scDEAL but ridge regression, which no network was found to beat on it :cite:p:`EstebanMedina2026`.

    .. math:: s = b_0 + u^\top b, \qquad u = E[u \mid z], \quad z = D V u + e

    with V the principal components of the lines, z a cell's z-scores, D how much of the lines' variation of a gene shows in the cells.

    Parameters
    ----------
    adata
        Cells: counts or log-normalised counts, shape (n_obs, n_vars), dense, CSR, CSC, backed or dask. It is read in blocks.
    reference
        Lines with their response, shape (n_lines, n_genes): log expression or z-scores, the same names of genes. It is only read.
    drugs
        Names of drugs: columns of `response_key`, or without it of ``reference.obs``. `None` takes all of `response_key`.
    response_key
        Table of ``reference.obsm``, lines by drugs, NaN where not measured: a DataFrame, or an array whose columns are named in
        ``reference.uns[response_key + "_names"]``. `None`: `drugs` are columns of ``reference.obs``.
    sensitive
        For numbers which end is sensitive: ``"low"`` (ln IC50, AUC) or ``"high"``; a column of 0 and 1 alone is two classes, of which ``"high"`` makes 1
        the sensitive one. For two classes with names the name of the sensitive one.
    level
        ``"linear"``; ``"network"``, an ensemble of networks with one encoder for both sides; ``"select"``, a network where it is surely
        better for lines and pseudo-cells whose lineage was left out, else linear; or a record with options: `omicstl.tl.ResponseRidge` or
        `omicstl.tl.ResponseNetwork`. ``"auto"`` selects for one drug with 300 lines or more, and is linear else, which takes seconds.
    lineage_key
        Column of ``reference.obs`` with tissues of origin, which are left out together when penalties are chosen and calls made.
    study_key
        Column of ``reference.obs`` with laboratories or screens, within which genes are z-scored.
    cluster_key
        Column of ``adata.obs`` with clusters, for a table of scores by cluster, the lines nearest to each, and a warning of
        clusters that are plainly not of a tumour line's kind.
    eval_key
        Labels of the cells: a column of obs for one drug, a table of obsm for several. They are compared with the finished scores, and
        used for nothing else. Of numbers larger is more sensitive; of two classes the one that `sensitive` names, else ``"sensitive"``,
        else 1 or True.
    mask_obs
        Column of ``adata.obs``, True for malignant cells, False for the others. Only these shape the fit; all are scored, and the others called
        "uncertain".
    exclude_lines
        Names of lines to leave out, such as the one that the cells are of.
    min_shared
        Fewest genes that both sides share.
    scale
        What the cells' values are: ``"counts"``, ``"log"`` (log1p of counts per 10,000), ``"zscore"``, or ``"auto"`` by looking, which never takes
        z-scores by itself: they know neither depth nor level, and lower the verdict.
    layer
        Matrix of `adata` to use. `None` uses ``adata.X``.
    safeguard
        Fall back to cells without alignment where an alignment does not surely pay for pseudo-cells of lines that were left out.
    training
        Options of training of networks.
    rng
        Seed of samples, pseudo-cells and members.
    key_added
        Name of everything that is written.
    progress
        Show a bar while networks are trained.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``obsm[key_added]``
        Latent of the cells in the space that they share with the lines, float32, shape (n_obs, n_comps), for scanpy (``use_rep``): components of
        the lines, or of networks the latent variables of all members side by side. ``otl.tl.predict(lines, cells, domain="source")`` gives
        the lines theirs.
    ``obs[key_added + "_score"]``, ``"_std"``, ``"_call"``
        For one drug: the score, calibrated (two classes: probability of being sensitive; numbers: expected response, **larger is more
        sensitive**); its standard deviation over refits on other lines; ``"sensitive"``, ``"resistant"`` or ``"uncertain"``.
    ``obsm[key_added + "_response"]``, ``"_response_std"``, ``"_calls"``
        For several drugs the same, shape (n_obs, n_drugs), in the order of ``uns[key_added]["drugs"]``; calls as 0, 1, 2.
        `omicstl.get.response` makes one table of them.
    ``obs[key_added + "_novelty"]``
        Share of pseudo-cells of unseen lineages that lie nearer to the lines than the cell, 0 to 1. Cells above 0.99 are uncertain. It is
        measured along the lines' components: what cells do beyond them it cannot see; markers of other kinds of cells can (`cluster_key`).
    ``varm[key_added]``, ``varm[key_added + "_stability"]``
        Weight of a standard deviation of each gene in the score before smoothing and calibration, shape (n_vars, n_drugs), and the
        share of refits in which it has the same sign.
    ``uns[key_added]``
        ``params`` (with the ``level`` in words), ``drugs``, ``names``, ``lines`` (per drug: lines, rank correlation for lines whose lineage was
        left out, penalty, smoothing, calibration, thresholds of calls, stability of weights), ``selection`` (ways of alignment and
        what they gain on pseudo-cells), where levels were compared ``levels``, ``nearest_lines``, ``kinds``, with `cluster_key` ``clusters``,
        with `eval_key` ``evaluation`` (a row for each drug with labels: cells, rank correlation, AUROC of two classes, and ``label_1``, the
        class that counts as sensitive), and the ``model`` (`omicstl.get.model`; `omicstl.tl.predict` applies it).
    ``uns[key_added + "_assessment"]``
        For one drug the fast level of `omicstl.tl.assess`.

    Raises
    ------
    TypeError
        If a matrix is not numeric, an argument is of the wrong kind, or a column is (dates, measured numbers as groups, numbers stored as text, a mask of
        other values).
    KeyError
        If a column, table, layer or drug is missing; a drug or table that only `adata` has is named as such.
    ValueError
        If fewer than `min_shared` genes are shared or vary, names of genes or lines repeat, values are NaN or infinite or not on the
        `scale`, species differ, a mask or a column of groups has gaps, a column has a code or text for missing values, clusters are none, a direction or the sensitive class is not stated, a drug that was
        asked for has one class or fewer than 10 lines, fewer than 10 cells shape the fit, or the model is too large to travel. `adata` is
        then unchanged.

    Warns
    -----
    TransferWarning
        If fewer than 2,000 genes are shared, drugs are left out, cells look like a line that the fit has seen, or clusters are no
        tumour cells.
    ScaleWarning
        If values make the scale doubtful, such as counts that are not integers; a `scale` that they rule out is an error.

    Notes
    -----
    Ways to bring cells into the space of the components: see `omicstl.tl.ResponseRidge`. CORAL :cite:p:`Sun2016a` is one of them; the way that was
    taken, and why, stands in ``params``. Calls: of the cells that are truly sensitive at most a tenth are called resistant in
    expectation, and the other way round, *if* the cells score as pseudo-cells of unseen lineages do. For numbers "sensitive" is above the
    median line.

    Three passes over the matrix, one more with `cluster_key` or `mask_obs`, and one over the lines. With 151 drugs, 520 lines, 706 genes and 1,500 cells a fit takes 8 CPU seconds. One drug, with
    1,000 lines, 5,000 genes and 3,000 cells: 26 at the linear level, 41 with levels compared, about twice that where a network wins.

    Examples
    --------
    >>> import omicstl as otl
    >>> cells, lines, truth = otl.datasets.simulate_drug_response(100, 100, 2100, rng=1)
    >>> otl.tl.scdeal(cells, lines, drugs=["response"], sensitive="sensitive", lineage_key="tissue")
    >>> cells.obs["scdeal_call"].cat.categories.tolist()
    ['sensitive', 'resistant', 'uncertain']
    """
    check_flag("safeguard", safeguard)
    options = levels.options_of(level, training)
    check_target(adata, key_added, kind="scdeal", copy=copy)
    result.check_leftovers(adata, key_added)
    random = streams(rng)
    clusters = groups.clusters_of(adata, cluster_key)
    read = inputs.read(
        adata,
        reference,
        drugs=drugs,
        response_key=response_key,
        sensitive=sensitive,
        lineage_key=lineage_key,
        study_key=study_key,
        mask_obs=mask_obs,
        exclude_lines=exclude_lines,
        min_shared=min_shared,
        scale=scale,
        layer=layer,
    )
    lines, target = read.lines, read.target
    truth = evaluation.read(adata, eval_key, lines.drugs, sensitive, read.mask)
    from omicstl.models.response import report

    fitted = levels.run(options, lines, target, read.mask, random, training, safeguard, progress)
    fit = fitted.fit
    about = report.report(lines, target.cells, fit, fitted.refit, random, fitted.n_targets)
    model = replace(fit.model, features=target.genes.astype(object), calibration=about.calibration)
    near = groups.nearest(lines, target.cells, clusters, read.mask, target.moments.mean)
    kinds, foreign = groups.kinds(lines, target.cells, clusters, target.genes, random)
    novelty = report.novelty_of(model, fit.latent_cells)
    usable = ~foreign if read.mask is None else read.mask & ~foreign
    codes = report.called(model, fit.score, novelty, usable)
    score, std = report.calibrated(model, fit.score, fit.std)
    params = {
        "level": fitted.words,
        "level_citation": fitted.citation,
        "level_reason": fitted.why,
        "align": fit.chosen["align"],
        "align_reason": fit.chosen["reason"],
        "response_key": response_key,
        "sensitive": sensitive,
        "lineage_key": lineage_key,
        "study_key": study_key,
        "cluster_key": cluster_key,
        "eval_key": eval_key,
        "mask_obs": mask_obs,
        "exclude_lines": np.array(list(exclude_lines), dtype=object),
        "min_shared": min_shared,
        "scale": target.scale,
        "layer": layer,
        "safeguard": safeguard,
        "call_error": report.ERROR,
        "seed": str(random.entropy),
        "n_obs": adata.n_obs,
        "n_lines": len(lines.x),
        "n_genes": int(target.genes.size),
        "n_shared": read.n_shared,
        "n_constant": read.n_constant,
    }
    obs, obsm = result.scores(key_added, score, std, codes, novelty)
    obsm[key_added] = fit.latent_cells
    tree, digest = result.stored(model)
    uns: dict[str, Any] = {
        "kind": "scdeal",
        "version": 1,
        "digest": digest,
        "params": params,
        "names": model.names,
        "drugs": model.drugs,
        "lines": result.drugs_table(lines, fit, about),
        "selection": result.selection_table(fit.chosen["table"]),
        "nearest_lines": near,
        "kinds": kinds,
        "model": tree,
    }
    table = groups.summary(model, fit.score, fit.latent_cells, clusters, codes, novelty)
    uns |= {} if table is None else {"clusters": table}
    uns |= {} if fitted.levels is None else {"levels": result.selection_table(fitted.levels)}
    uns |= {} if truth is None else {"evaluation": evaluation.compare(truth, score, lines.drugs, read.mask)}
    varm = {
        key_added: result.spread_out(adata, model.weights, target.have),
        f"{key_added}_stability": result.spread_out(adata, about.stability.sign_share, target.have),
    }
    more = {}
    if lines.drugs.size == 1:
        names = [str(name) for name in lines.drugs]
        again = {"key": key_added, "kind": "scdeal", "level": "fast", "batch_key": None, "rng": random.entropy}
        more[f"{key_added}_assessment"] = assessed.of_drugs(
            with_whole_table(lines, adata, reference, response_key, sensitive),
            target.cells,
            score.astype(np.float64),
            names,
            random,
            params=again,
            mask=read.mask,
            confounders=confounders(adata, layer, target.cells.totals, None),
            extra=of_screen(uns, novelty, read.mask),
            each=of_members(model, fit.latent_cells, read.mask),
            taken=choice_of_screen(uns),
        )
    inputs.few_genes(target.genes.size)
    groups.doubt_own_line(near)
    groups.doubt_kinds(kinds)
    written = commit(adata, replace(result.result(adata, key_added, obs, obsm, varm, uns), more=more), copy=copy)
    result.tell(key_added, lines.drugs.size, target.genes.size, len(lines.x), params["level"])
    return written
