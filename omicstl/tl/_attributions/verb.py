"""Which genes the factors of a network rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl import get
from omicstl._core.checks import check_choice, check_number
from omicstl._core.log import progress as progress_bar, warn
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data import adata as reader
from omicstl._data.run import spread_out, start

if TYPE_CHECKING:
    from anndata import AnnData

N_STEPS = 50
LARGE_GAP = 0.05


@public
def attributions(
    adata: AnnData,
    key: str | None = None,
    *,
    method: str = "integrated_gradients",
    n_steps: int = N_STEPS,
    n_obs: int | None = None,
    layer: str | None = None,
    rng: SeedLike = 0,
    copy: bool = False,
    progress: bool | None = None,
) -> AnnData | None:
    r"""Attribute the factors of a network to genes: integrated gradients :cite:p:`Sundararajan2017`, exact in the space of genes.

    A network has no loadings. This says instead by how much each gene moves each factor away from where the average
    observation lies, in the units of the factor's score. With :math:`s_c(z)` the score of factor c and z an observation's z-scores,

    .. math:: \mathrm{IG}_{icj} = z_{ij} \frac{1}{S} \sum_{t=1}^{S} \frac{\partial s_c}{\partial z_j}
       \Big(\frac{t - 1/2}{S} z_i\Big), \qquad A_{jc} = \frac{1}{n} \sum_i \operatorname{sign}(s_c(z_i) - s_c(0))\, \mathrm{IG}_{icj}

    Parameters
    ----------
    adata
        The data that a network (`omicstl.tl.deepprofile`, `omicstl.tl.vae`) was fitted on, with the fit in it. Dense, CSR, CSC,
        backed or dask, read in blocks. Shape (n_obs, n_vars).
    key
        Name that the fit was written under. `None` takes the only model there.
    method
        ``"integrated_gradients"``: signed, :math:`A` above; positive where a gene moves the score the way the observation goes.
        ``"integrated_gradients_absolute"``: the mean of :math:`|\mathrm{IG}|`, the quantity of the paper :cite:p:`Qiu2024`.
        ``"gradient"``: the mean slope at the data, per standard deviation of the gene. ``"correlation"``: of gene and score, a simple baseline.
    n_steps
        Points on the line from the average observation to each observation (midpoints), for integrated gradients.
    n_obs
        Number of observations used, drawn at random. `None` uses all.
    layer
        Matrix to use, shape (n_obs, n_vars). `None` takes that of the fit.
    rng
        Seed of the draw.
    copy
        Return a copy instead of writing into `adata`.
    progress
        Show a bar of observations. `None` follows ``settings.progress``.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``varm[key + "_attributions"]``
        Attributions, float32, shape (n_vars, n_factors); zero for variables outside the model. `omicstl.tl.enrich` reads them.
    ``uns[key + "_attributions"]``
        ``names`` of the factors, ``params``, and ``completeness_gap``: for each factor the mean over observations of
        :math:`|\sum_j \mathrm{IG}_{icj} - (s_c(z_i) - s_c(0))|`, over that of :math:`|s_c(z_i) - s_c(0)|`. It is 0 if attributions add up to the score;
        NaN for other methods.

    Raises
    ------
    TypeError
        If X is not numeric, or an argument or a column is of the wrong kind.
    KeyError
        If `layer`, the model, or a column of `obs` that the fit used is missing, or there are several models and no `key`.
    ValueError
        If genes of the model are missing, values are NaN or infinite, a column that the fit used has missing ones, the model was learnt from ``obsm``, or `n_steps` is given
        to a method without steps. `adata` is then unchanged.
    NotImplementedError
        If the model is no network: PLIER has loadings, which say the same.

    Warns
    -----
    ScaleWarning
        If the values look like counts or are not logarithmic, and the fit was of log expression.
    UserWarning
        If the median gap of the factors that are not components is above 5 %: use more steps.

    Notes
    -----
    The original takes :math:`V (p \circ \bar g)` with p the scores on the components V, whose sum over genes is not the score; here
    it is :math:`z \circ (V \bar g)`, whose sum is. It also takes left ends of the steps and no sign. The first
    pre-activation of an encoder is linear along the line, so that the mean gradient :math:`\bar g` is a product of 0/1 masks (which units
    are active together at how many points); factors are linear in the units, so members are added up before anything
    is led to genes. Genes are standardised as the fit did, within batches where it did. Covariates stay as they are. Factors that are
    components ("PC1") are linear: their gap is 0. Of several
    correlated genes a network may use any: attributions tell what this one uses.

    Cost: 2 · n_obs · n_vars · n_comps · n_factors operations for an ensemble, and for each member n_obs · n_comps · 250 · its
    units. The gradients in memory fit ``settings.block_bytes``. Two passes over the data (three with a batch or counts), blocks spread over cores.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, _ = otl.datasets.simulate_pathways(rng=0)
    >>> quick = otl.tl.Training(epochs=5)
    >>> otl.tl.deepprofile(adata, latent_sizes=(3,), n_members=2, n_clusters=4, training=quick)
    >>> otl.tl.attributions(adata)
    >>> adata.varm["deepprofile_attributions"].shape
    (500, 7)
    """
    from omicstl.models.factors import attributions as parts

    from . import rows

    _check(method, n_steps, n_obs)
    reader.check_adata(adata)
    model = _network(adata, key)
    key = get.fit_key(adata) if key is None else key
    run = start("attributions", adata, f"{key}_attributions", copy=copy)
    random = streams(rng)
    params = adata.uns[key]["params"]
    seen = rows.read(adata, model, params, layer, n_obs, random)
    size = parts.block_size(model, seen.n_rows, n_steps)
    blocks = seen.blocks(size)
    with progress_bar(seen.n_rows, "observations", progress) as bar:
        if method == "correlation":
            found = parts.correlate(model, blocks, bar.update)
        else:
            found = parts.attribute(model, blocks, size, method=method, n_steps=n_steps, report=bar.update)
    gap = float(np.median(found.gap[: parts.n_bent(model)]))
    if gap > LARGE_GAP:
        warn(
            f"Attributions do not add up to the scores: half of the factors have a completeness gap of {gap:.0%} or more. Use more "
            f"steps, e.g. n_steps={10 * n_steps}."
        )
    integrated = method.startswith("integrated")
    used = {
        "key": key,
        "method": method,
        "n_steps": n_steps if integrated else None,
        "n_obs": seen.n_rows,
        "n_genes": int(model.features.size),
        "n_factors": int(model.names.size),
        "layer": params.get("layer") if layer is None else layer,
        "seed": str(random.entropy),
    }
    written = run.commit(
        {"completeness_gap": pd.DataFrame({"factor": model.names, "gap": found.gap})},
        params=used,
        names=model.names,
        varm={"": spread_out(adata, seen.columns, found.values)},
    )
    told = f"{model.names.size} factors" + (f" add up to their scores to {gap:.2%} (median)" if integrated else "")
    run.tell(f"Attributions of {told}.")
    return written


def _check(method: str, n_steps: int, n_obs: int | None) -> None:
    """Refuse options out of range, or without a use."""
    from omicstl.models.factors.attributions import METHODS

    check_choice("method", method, METHODS)
    check_number("n_steps", n_steps, low=1, high=100_000, integer=True)
    if n_steps != N_STEPS and not method.startswith("integrated"):
        msg = f"`n_steps` has no use with method={method!r}, got {n_steps}. Leave it out, or use method='integrated_gradients'."
        raise ValueError(msg)
    if n_obs is not None:
        check_number("n_obs", n_obs, low=1, integer=True, advice="None uses all observations.")


def _network(adata: AnnData, key: str | None) -> Any:
    """The fitted network; a linear model has loadings and no need of attributions."""
    from omicstl.models.factors.deepprofile.model import DeepprofileModel
    from omicstl.models.factors.vae.model import VaeModel

    model: Any = get.model(adata, key)
    if not isinstance(model, DeepprofileModel | VaeModel):
        there = get.fit_key(adata) if key is None else key
        msg = (
            f"Attributions are of networks, got a model of kind {model.kind!r}, which is linear: its loadings tell what each gene "
            f"adds. They are in adata.varm[{there!r}] (otl.get.loadings)."
        )
        raise NotImplementedError(msg)
    return model
