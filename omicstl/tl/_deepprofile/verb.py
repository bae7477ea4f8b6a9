"""Robust latent variables of a compendium, from an ensemble of variational autoencoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omicstl._core.log import progress as progress_bar
from omicstl._core.options.training import Training
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.run import start
from omicstl.models.factors.deepprofile.train import DeepprofileOptions

from . import inputs, result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


@public
def deepprofile(
    adata: AnnData,
    *,
    latent_sizes: Sequence[int] = (5, 10, 25, 50, 75, 100),
    n_members: int = 8,
    n_clusters: int | None = 150,
    clustering: str = "aligned",
    linear: bool = True,
    n_comps: int | None = None,
    kl_weight: float = 1.0,
    batch_key: str | None = None,
    layer: str | None = None,
    obsm: str | None = None,
    training: Training | None = None,
    key_added: str = "deepprofile",
    model_path: str | Path | None = None,
    checkpoint: str | Path | None = None,
    rng: SeedLike = 0,
    copy: bool = False,
    progress: bool | None = None,
) -> AnnData | None:
    r"""Learn latent variables of a compendium that many networks agree on: DeepProfile :cite:p:`Qiu2024`.

    Genes are z-scored and reduced to principal components. Variational autoencoders :cite:p:`Kingma2014` of several latent sizes,
    `n_members` of each from different starts, are trained on the components' scores, and the latent units of all of them are
    clustered. A cluster is a factor: its score is the mean of its units. Bring the factors to other data with
    `omicstl.tl.project`, ask which genes they rest on with `omicstl.tl.attributions`.

    Parameters
    ----------
    adata
        Log expression, e.g. log2 intensities or log1p CPM, at least 10 observations. Dense, CSR, CSC, backed or dask.
        Shape (n_obs, n_vars). Genes are z-scored inside, over the observations.
    latent_sizes
        Latent units of the networks. Hidden layers follow the paper: 100 and 25 up to 5 units, 250 and 50 up to 10, 250 and 100
        above.
    n_members
        Networks of each size. The paper has 100.
    n_clusters
        Number of factors. `None` lets the data decide, by the paper's rule (G-means :cite:p:`Hamerly2003`).
    clustering
        ``"aligned"``: units are standardised, and a unit and its negative are one; ``"published"``: k-means on the units as they
        are, as in the paper.
    linear
        Count the leading components as factors too ("PC1", ...), as many as the largest of `latent_sizes`: a linear autoencoder of
        that size has them as its answer :cite:p:`Lucas2019`. The networks of the paper keep about 25 directions of 1,000 samples
        and lose what later components say.
    n_comps
        Principal components. `None`: three times those above the Marchenko-Pastur edge, and at least the
        largest of `latent_sizes` where there are as many. The paper has 1,000, or 500 and 250 for
        cancers with fewer samples.
    kl_weight
        Weight of the divergence from the prior.
    batch_key
        Column of ``adata.obs``; genes are then z-scored within each batch. What differs between batches is taken out, be it
        technical or not.
    layer
        Matrix to use. `None` uses ``adata.X``.
    obsm
        Learn from ``adata.obsm[obsm]`` instead of genes, e.g. the means of gene modules. Its columns are z-scored too.
    training
        Options of training. `None`: batches of 50, learning rate 5e-4, nothing held out, as in the paper; its 50 epochs, and up to
        200 where fewer would be below 4,000 steps. The paper's call is ``Training()``.
    key_added
        Name of everything that is written.
    model_path
        Keep the model in this file, a new name or a file to replace, and only its address in `adata`; needed above
        ``settings.model_in_adata``. If it cannot be written after the fit, a small model stays in `adata`, with a warning.
    checkpoint
        A folder, made if it is not there, for members that are ready and, every minute, for the state of those under way. The same
        call after an interruption goes on from there, to the same answer. More members may be asked for; other data or settings are refused.
    rng
        Seed. A member depends on it, its latent size and its number alone.
    copy
        Return a copy instead of writing into `adata`.
    progress
        Show a bar of training steps. `None` follows ``settings.progress``.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``obsm[key_added]``
        Scores, float32, shape (n_obs, n_factors): clusters, then components, in standard deviations of the units (``"published"``: as the networks give
        them).
    ``obsm[key_added + "_sd"]``
        Standard deviation of a draw from the posterior of a random unit of the factor: within and between members together.
    ``obsm[key_added + "_sd_between"]``
        Its part between members alone.
    ``uns[key_added]``
        ``names`` ("DP1", the largest cluster, ..., "PC1", ...); ``nodes``: a row for each latent unit, with its cluster, sign, divergence
        and correlation with its factor; ``clusters``: numbers of units and networks, ``stability`` (median over networks, of the latent size that most
        units come from, of the largest correlation of a unit with the factor), ``cohesion`` (mean correlation of its units with it), share of each latent size; ``history``; ``converged``,
        ``n_iter`` (epochs);
        ``params``; and the ``model`` (`omicstl.get.model`), the encoders only.

    What an earlier fit under this name has left, and attributions and enrichment computed from it, is removed.

    Raises
    ------
    TypeError
        If X is not numeric, or an argument or `batch_key` is of the wrong kind.
    KeyError
        If `layer`, `obsm` or `batch_key` is missing.
    ValueError
        If values are NaN, infinite or huge, names repeat, a batch is missing, there are too few observations or varying genes, a number is out of
        range, a loss is not finite, the model is too large to travel, or `checkpoint` belongs to other data or settings. `adata`
        is then unchanged.
    OSError
        If `model_path` or `checkpoint` cannot be written, before the fit; or after it, as `omicstl.ModelFileError`, which carries the
        fitted model.

    Warns
    -----
    ScaleWarning
        If the values look like counts or are not logarithmic.
    ConvergenceWarning
        If `training` has `patience` and networks were not stopped by it.
    UserWarning
        If genes have one value in all observations (they are left out), or latent sizes are not below `n_comps`.

    Notes
    -----
    The paper's settings of 2024 are ``n_members=100, clustering="published", linear=False, n_comps=1000, training=Training(),
    model_path=...``; of 2018, a single
    network of 8 units on 300 gene modules: `omicstl.pp.gene_modules` and `omicstl.tl.vae` with ``obsm="gene_modules"``.
    Differences from the original: components are exact and stored, not fitted again for new data; units count once whatever
    their sign (``"aligned"``); uncertainty and stability are reported.

    On 972 samples, default settings; see the guide for what the embedding is worth beside principal components.

    Cost: O(n_obs · n_comps · 250) a network and epoch; about 1 ms of one core a step of 50 observations and 1,000 components.
    Networks are spread over cores. The default is 48 networks.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, _ = otl.datasets.simulate_pathways(rng=0)
    >>> quick = otl.tl.Training(epochs=5)
    >>> otl.tl.deepprofile(adata, latent_sizes=(3, 5), n_members=2, n_clusters=4, training=quick)
    >>> adata.obsm["deepprofile"].shape  # four clusters, five components
    (60, 9)
    """
    asked = DeepprofileOptions(
        latent_sizes=inputs.sizes(latent_sizes),
        n_members=n_members,
        n_clusters=n_clusters,
        n_comps=n_comps,
        rule=clustering,
        linear=linear,
        kl_weight=kl_weight,
        training=inputs.training_of(training),
    )
    options = inputs.checked(asked)
    run = start("deepprofile", adata, key_added, copy=copy, model_path=model_path, reads={"obsm": [("obsm", obsm)]})
    random = streams(rng)
    data = inputs.read(adata, layer, obsm, batch_key)
    inputs.check_comps(options.n_comps, data)
    inputs.check_size(run, data, options)
    from omicstl.models.factors.deepprofile import fit as parts, train

    members = inputs.Checkpoint(checkpoint, data, options, random, training)
    reduced = members.components(
        lambda: parts.components(data.data, options.n_comps, max(options.latent_sizes), random)
    )
    settled = inputs.settled(options, reduced, training)
    inputs.check_size(run, data, settled)
    have = members.members(settled)
    with progress_bar(train.n_steps(settled, reduced.scores, have), "DeepProfile", progress) as bar:
        hooks = train.Hooks(have, members.save, members.running, members.save_running, bar.update)
        fit = parts.fit_deepprofile(data.features, data.data, reduced, settled, random, hooks)
    params = result.params(fit, settled, data) | {
        "batch_key": batch_key,
        "layer": layer,
        "obsm": obsm,
        "seed": str(random.entropy),
    }
    result.doubt(fit, params)
    scores, sd, between = fit.embedded
    written = run.commit(
        result.about(fit, params),
        params=params,
        model=fit.model,
        names=fit.model.names,
        obsm={"": scores, "_sd": sd, "_sd_between": between},
    )
    run.tell(*result.sentences(fit))
    return written
