"""Drug response of single cells, learnt from a screen of cell lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.training import Training
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.run import start
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.tl._shared import screen
from omicstl.tl._shared.confounders import confounders
from omicstl.tl._shared.scores import scores

from . import assessment, evaluation, groups, levels, result
from .whole_table import with_whole_table

if TYPE_CHECKING:
    from anndata import AnnData


@public
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
    are related in the same way in these cells: read ``uns[key_added + "_assessment"]`` first.

    The verb bears the name under which the task is known. Its default is not the network of that name but ridge regression on principal
    components, ``level="linear"``, which no network was found to beat on it :cite:p:`EstebanMedina2026`; for one drug with 300 lines or
    more, networks are tried and taken where they are surely better.

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
        ``"linear"``; ``"network"``, an ensemble of networks with one encoder for both sides, after scDEAL :cite:p:`Chen2022`; ``"select"``, a network where it is surely
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
    options = levels.options_of(level, training)
    reads = {"cluster_key": [("obs", cluster_key)], "eval_key": [("obs", eval_key)], "mask_obs": [("obs", mask_obs)]}
    run = start("scdeal", adata, key_added, copy=copy, reads=reads)
    random = streams(rng)
    clusters = groups.clusters_of(adata, cluster_key)
    asked = screen.Asked(
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
    read = screen.read(adata, reference, asked)
    truth = evaluation.read(adata, eval_key, read.lines.drugs, sensitive, read.mask)
    fitted = levels.Levels(read, random, training, safeguard, progress, partial(result.check_size, run))(options)
    told = result.describe(read, fitted, clusters, random)
    own = {"cluster_key": cluster_key, "eval_key": eval_key, "safeguard": safeguard, "seed": str(random.entropy)}
    params = asked.params() | own | result.params(read, fitted)
    about = result.about(read, fitted, told, truth) | {"params": params}
    lines = with_whole_table(read.lines, adata, reference, asked)
    known = confounders(adata, layer, read.target.cells.totals, None)
    more = assessment.of_one_drug(key_added, read, lines, told, about, known, random)
    result.doubt(read, told)
    obs, obsm = scores(told.score, told.std, told.codes, told.novelty)
    written = run.commit(
        about,
        params=params,
        model=told.model,
        names=told.model.names,
        obs=obs,
        obsm={"": told.latent, **obsm},
        varm=result.weights(adata, read, told),
        more=more,
        own=True,
    )
    run.tell(result.sentence(read, fitted))
    return written
