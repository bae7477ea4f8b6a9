"""Latent variables of a cohort from one variational autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicstl._core.log import progress as progress_bar
from omicstl._core.options.training import Training
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.run import start
from omicstl.models.factors.vae.options import VaeOptions

from . import inputs, result

if TYPE_CHECKING:
    from anndata import AnnData


@public
def vae(
    adata: AnnData,
    *,
    n_factors: int = 10,
    likelihood: str = "gaussian",
    decoder: str | None = None,
    gene_sets: str | Path | dict[str, list[str]] | pd.DataFrame | None = None,
    min_genes: int = 10,
    n_extra: int = 1,
    positive: bool = False,
    hidden: Sequence[int] = (128,),
    batch_key: str | None = None,
    covariates: Sequence[str] = (),
    kl_weight: float = 1.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
    training: Training | None = None,
    layer: str | None = None,
    obsm: str | None = None,
    key_added: str = "vae",
    model_path: str | Path | None = None,
    checkpoint: str | Path | None = None,
    rng: SeedLike = 0,
    copy: bool = False,
    progress: bool | None = None,
) -> AnnData | None:
    r"""Learn latent variables of a cohort with one variational autoencoder :cite:p:`Kingma2014`.

    For a latent space of your own data, with the likelihood and the decoder that fit them; `omicstl.tl.deepprofile` trains an ensemble and
    says which variables are reproducible. Bring the result to other data with `omicstl.tl.project`.

    .. math::
        \min \; \mathbb{E}_{q(z \mid x)} [-\log p(x \mid z)] + \beta \, \mathrm{KL}(q(z \mid x) \,\|\, \mathcal{N}(0, I)),
        \qquad q(z \mid x) = \mathcal{N}(\mu(x), \operatorname{diag} \sigma^2(x))

    Parameters
    ----------
    adata
        At least 10 observations; the scale depends on `likelihood`. Dense, CSR, CSC, backed or dask. Shape (n_obs, n_vars).
    n_factors
        Latent units. Gene sets bring their own number.
    likelihood
        Of log expression: ``"gaussian"`` (squared error of z-scores, as DeepProfile: a variance of 1/2) or ``"gaussian_learned"`` (a
        variance for each gene). Of raw counts: ``"nb"``, ``"zinb"`` (an inverse dispersion for each gene) or ``"poisson"``, about the
        observation's total times a softmax of the decoder, as scVI :cite:p:`Lopez2018`. Of values between 0 and 1: ``"bernoulli"``.
    decoder
        ``"mlp"``: hidden layers; ``"linear"``: none, so that a factor has loadings (LDVAE :cite:p:`Svensson2020`); ``"masked"``: linear,
        each factor limited to the genes of its set (VEGA :cite:p:`Seninge2021`, expiMap :cite:p:`Lotfollahi2023`). `None` takes
        ``"masked"`` where there are `gene_sets`, and ``"mlp"`` else.
    gene_sets
        A ``.gmt`` or ``.gmt.gz`` file, a dict of set name to genes, a table with columns ``source`` and ``target``, or a
        0/1 table genes × sets. Each set is a factor and gives it its name.
    min_genes
        Sets with fewer genes in the data are left out.
    n_extra
        Factors beside those of the sets, on all genes, for what no set explains ("extra1").
    positive
        Keep the weights of factors in a linear or masked decoder at zero or above.
    hidden
        Sizes of the encoder's hidden layers, each with batch normalisation and ReLU; an MLP decoder has them in reverse.
    batch_key
        Column of ``adata.obs`` with the batch: a categorical covariate. Gaussian likelihoods also standardise genes within each batch.
    covariates
        Further columns: categories, text and truth values become one number a level, numbers are standardised. The encoder and the
        decoder see them, so that factors need not carry what they explain.
    kl_weight
        :math:`\beta`, weight of the divergence.
    kl_warmup
        Epochs over which that weight rises from 0, against units that are given up early.
    free_bits
        Nats of each unit's mean divergence that cost nothing :cite:p:`Kingma2016`.
    training
        Options of training. `None`: up to 400 epochs, batches of 100, learning rate 1e-3; a tenth of the observations is held out,
        and training stops after 20 epochs without a lower loss on them.
    layer
        Matrix to use, raw counts for the likelihoods of counts. `None` uses ``adata.X``.
    obsm
        Learn from ``adata.obsm[obsm]`` instead, e.g. the means of gene modules. Its columns are called by ``uns[obsm]["names"]``
        where it has as many.
    key_added
        Name of everything that is written.
    model_path
        Keep the model in this file, a new name or a file to replace, and only its address in `adata`; needed above
        ``settings.model_in_adata``. If it cannot be written after the fit, a small model stays in `adata`, with a warning.
    checkpoint
        A folder, made if it is not there, for the state of the training, about every minute and at its end. The same call goes on from
        there, to the same bits.
    rng
        Seed of the first weights, the order of observations, the noise, and which observations are held out.
    copy
        Return a copy instead of writing into `adata`.
    progress
        Show a bar of training steps. `None` follows ``settings.progress``.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``obsm[key_added]``
        Mean of the posterior, float32, shape (n_obs, n_factors), in standard deviations of the prior. Signs are arbitrary and chosen:
        the loadings of a factor sum to at least zero, or its scores are skewed to high values.
    ``obsm[key_added + "_sd"]``
        Standard deviation of the posterior.
    ``varm[key_added]``
        Loadings, float32, shape (n_vars, n_factors), for a linear or masked decoder: z-scores (Gaussian) or logits of a gene for a unit of the
        factor; zero for genes outside the model. Not with `obsm`.
    ``uns[key_added]``
        ``names``; ``units``: the divergence of each factor, the variance of its scores and whether that makes it ``active`` (above 0.01
        :cite:p:`Burda2016`); ``history``: a row an epoch (sums over genes, means over observations; ``validation`` is the loss on the
        observations held out, at full `kl_weight`); ``best_epoch``, to which the weights belong; ``stopped`` ("patience" or "epochs"), ``converged``, ``n_iter``;
        ``lost_sets``; ``params``; and the ``model`` (`omicstl.get.model`): the encoder, loadings, and 50 principal axes that fill in genes
        which other data lack.

    What an earlier fit under this name has left, and attributions and enrichment computed from it, is removed.

    Raises
    ------
    TypeError
        If the matrix is not numeric, or an argument or a column is of the wrong kind (dates, a batch of measured numbers).
    KeyError
        If `layer`, `obsm`, or a column of `obs` is missing.
    ValueError
        If values are NaN, infinite, huge or impossible under `likelihood` (negative or broken counts), names repeat, there are too few
        observations or more factors than varying genes, no set has enough genes, a column has missing or infinite values, a code or text for missing ones, or one level, an
        option has no use beside another, a loss is not finite, the model is too large to travel, or `checkpoint` belongs to
        other data or settings. `adata` is then unchanged.
    OSError
        If `model_path` or `checkpoint` cannot be written, before the fit; or after it, as `omicstl.ModelFileError`, which carries the
        fitted model.

    Warns
    -----
    ScaleWarning
        If values for a Gaussian likelihood look like counts or are not logarithmic.
    ConvergenceWarning
        If the loss on held-out observations was still falling at the last epoch.
    UserWarning
        If variables have one value in all observations (they are left out), or no factor is active.

    Notes
    -----
    The encoder sees z-scores, of the data or, for counts, of ``log1p(x / total * target_sum)`` with the median total as the target; the
    likelihood of counts is that of the raw ones. Offsets of the decoder and dispersions start from the moments of the data. A covariate's
    level enters as 1 less its share, so that 0 stands for the average, also for levels that are not known when other data are projected.
    Standardising within batches takes out every difference between batches in the mean and spread of a gene, be it technical or not: where
    batch and condition are confounded, both go. Other data are projected with the means of all training data, so that scores of single batches differ from those of the fit.

    DeepProfile's network (2018 and 2024) is ``hidden=(250, 100)`` with ``training=otl.tl.Training()``, but for the running statistics of batch
    normalisation, which follow ten times faster here (momentum 0.9): an epoch of a small cohort has few steps. The loss on held-out
    observations uses the mean of the posterior and these statistics; nothing is drawn. A last row that would be alone in its batch takes one
    along. With a few hundred observations smaller layers, such as ``hidden=(32,)``, and a linear decoder keep more of what another assay says
    of the same cells; principal components of log counts kept still more in our measurement (``benchmarks/vae_cells.py``).

    Two passes over data that fit into memory (16 × ``settings.block_bytes`` as float32), and one more for `checkpoint`; the rows of larger
    ones are read while training, once an epoch, and about ten more times. Cost of an epoch: O(n_obs · n_vars · hidden); for 12,000 genes and
    the default layer about 0.3 ms of one core an observation, 0.8 ms for ``"nb"`` and 1.2 ms for ``"zinb"``.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.vae(adata, n_factors=5, hidden=(32,), training=otl.tl.Training(epochs=20))
    >>> adata.obsm["vae"].shape, bool(adata.uns["vae"]["units"]["active"].all())
    ((60, 5), True)
    """
    options = VaeOptions(
        n_factors=n_factors,
        likelihood=likelihood,
        decoder=inputs.decoder_of(decoder, gene_sets),
        hidden=inputs.layers(hidden),
        positive=positive,
        kl_weight=kl_weight,
        kl_warmup=kl_warmup,
        free_bits=free_bits,
        training=inputs.training_of(training),
    )
    options = inputs.checked(options, min_genes, n_extra)
    asked = inputs.Asked(layer, obsm, batch_key, covariates, gene_sets, min_genes, n_extra)
    run = start("vae", adata, key_added, copy=copy, model_path=model_path, reads={"obsm": [("obsm", obsm)]})
    random = streams(rng)
    read = inputs.read(run, options, asked)
    folder = inputs.checkpoint(checkpoint, read, random)
    from omicstl.models.factors.vae.fit import Design, Running, fit_vae, n_steps

    design = Design(read.expression.var_names, read.names, read.mask, read.codes)
    with progress_bar(n_steps(read.options, read.data), "VAE", progress) as bar:
        running = Running(bar.update)
        if folder is not None:
            running = Running(bar.update, partial(folder.save_running, "vae"), folder.load_running("vae"))
        fit = fit_vae(read.data, design, read.options, random, running)
    params = result.params(fit, read.options) | asked.params() | {"seed": str(random.entropy)}
    result.doubt(fit, params)
    written = run.commit(
        result.about(fit, params, read.lost),
        params=params,
        model=fit.model,
        names=fit.model.names,
        obsm={"": fit.scores, "_sd": fit.sd},
        varm=result.loadings(adata, fit.model, None if obsm is not None else np.flatnonzero(read.used)),
    )
    run.tell(*result.sentences(fit, read.lost))
    return written
