"""Which latent units of a network carry anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._data.results import factor_names, score_key

KINDS = ("vae", "deepprofile")


@public
def active_units(adata: AnnData, key: str | None = None, *, threshold: float = 0.01) -> pd.DataFrame:
    r"""
    Report which latent units of a network carry anything :cite:p:`Burda2016`.

    A variational autoencoder may leave units unused: their posterior is the prior, whatever the observation. Many such units mean that
    fewer would do, or that the divergence weighs too much.

    Parameters
    ----------
    adata
        Data with a fit of `omicstl.tl.vae` or `omicstl.tl.deepprofile`, or with a projection onto a fit of `omicstl.tl.vae`.
    key
        Key of the scores. `None`: the only ones there.
    threshold
        Variance of the posterior mean over observations above which a unit is active.

    Returns
    -------
    A table with one row for each unit: of an ensemble ``latent_size``, ``member``, ``unit`` and the ``factor`` that it is part of
    (empty if of none), of a single network ``factor``; then ``variance`` of the posterior mean over observations, ``kl``, its
    divergence from the prior (nats, mean over observations), and ``active``.

    Raises
    ------
    KeyError
        If there are no scores under `key`, or several and no `key`.
    TypeError
        If `adata` is no AnnData or `threshold` no number.
    ValueError
        If `threshold` is negative, or the scores are not of a network, or were projected onto an ensemble.

    Notes
    -----
    The measure of Burda et al. 2016, :math:`\operatorname{Var}_x(E[u \mid x]) > 0.01`. For a single network it is computed from the
    observations in `adata`, :math:`\mathrm{KL} = \frac{1}{2} \overline{\mu^2 + \sigma^2 - 1 - \ln \sigma^2}`, so that of a
    projection it tells what varies in the new data; for an ensemble it is that of the training data, kept in
    ``uns[key]["nodes"]``. Cost: one pass over the scores.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.vae(adata, n_factors=3, training=otl.tl.Training(epochs=5))
    >>> otl.metrics.active_units(adata).columns.tolist()
    ['factor', 'variance', 'kl', 'active']
    """
    check_number("threshold", threshold, low=0)
    key = score_key(adata, key)
    entry: Mapping[str, Any] = adata.uns[key]
    kind = str(entry["kind"])
    of = str(entry["reference"]["kind"]) if kind == "projection" else kind
    if of not in KINDS:
        msg = f"adata.obsm[{key!r}] holds scores of a model of kind {of!r}, which has no latent units. Pass the key of a network's."
        raise ValueError(msg)
    if of == "deepprofile":
        if kind == "projection":
            msg = (
                f"adata.obsm[{key!r}] was projected onto an ensemble: it holds factors, not the units they are made of. Pass the "
                "reference, which keeps a report of its units."
            )
            raise ValueError(msg)
        columns = ["latent_size", "member", "unit", "factor", "variance", "kl"]
        table = entry["nodes"][columns].copy()
    else:
        mean, sd = (np.asarray(adata.obsm[name], dtype=np.float64) for name in (key, f"{key}_sd"))
        kl = 0.5 * np.mean(mean**2 + sd**2 - 1 - 2 * np.log(sd), axis=0)
        table = pd.DataFrame({"factor": factor_names(adata, key), "variance": mean.var(axis=0), "kl": kl})
    return table.assign(active=table["variance"] > threshold)
