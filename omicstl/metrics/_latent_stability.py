"""Do two fits see the same in the same observations?"""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import MOST_ROUNDS, check_number
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.features import match_features
from omicstl._data.results import score_key
from omicstl.kernels import matching, similarity

SHARE = 0.99  # of the variance, in SVCCA
LEAST = 10


@public
def latent_stability(
    a: AnnData,
    b: AnnData,
    *,
    key: str | None = None,
    other_key: str | None = None,
    n_permutations: int = 20,
    rng: SeedLike = 0,
) -> pd.DataFrame:
    """
    Measure how well two sets of scores of the same observations agree: factor by factor, and as spaces.

    Does a fit with another seed, other settings or another method find the same latent variables? Networks may find the same
    space with other axes: then the spaces agree and the factors do not, and a single factor should not be interpreted.

    Parameters
    ----------
    a, b
        Data with scores of a fit or a projection; may be the same object with two keys. Observations are matched by name.
    key
        Key in `a`. `None`: the only one there.
    other_key
        Key in `b`. `None`: the only one there.
    n_permutations
        Number of times that the observations of `b` are permuted, for what chance gives.
    rng
        Seed of the permutations.

    Returns
    -------
    A table with a row for each measure, and columns ``value`` and ``chance``, its mean under permutation; all between 0 and 1. ``matched_r``: mean
    absolute correlation of factors paired one to one. ``svcca``: mean canonical correlation of the directions with 99 % of the
    variance :cite:p:`Raghu2017`. ``cka``: linear centred kernel alignment :cite:p:`Kornblith2019`, which directions of large variance
    decide.

    Raises
    ------
    KeyError
        If there are no scores under a key, or several and no key is given.
    TypeError
        If `a` or `b` is no AnnData.
    ValueError
        If fewer than 10 observations are shared, or a score is not finite, or `n_permutations` is below 1.

    Notes
    -----
    ``matched_r`` changes if either side is rotated, the other two do not; only ``svcca`` is unchanged if directions are stretched. Read a
    value against its chance: with few observations for many factors, all of them are high for unrelated scores. Pairs have the largest sum
    of absolute correlations, over the smaller number of factors, as in `omicstl.metrics.match_factors`, which names them.
    Cost: O(n_permutations · (observations · factors² + factors³)).

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> few = otl.tl.Training(epochs=5)
    >>> for seed in (0, 1):
    ...     otl.tl.vae(adata, n_factors=3, training=few, rng=seed, key_added=f"vae{seed}")
    >>> otl.metrics.latent_stability(adata, adata, key="vae0", other_key="vae1").index.tolist()
    ['matched_r', 'svcca', 'cka']
    """
    check_number("n_permutations", n_permutations, low=1, high=MOST_ROUNDS, integer=True)
    first, names = _scores(a, key, "a")
    second, others = _scores(b, other_key, "b")
    shared = match_features(names, others)
    if shared.have_index.size < LEAST:
        msg = f"`a` and `b` share {shared.have_index.size} observations by name; at least {LEAST} are needed."
        raise ValueError(msg)
    first, second = first[shared.have_index], second[shared.want_index]
    generator = streams(rng).generator("permutations")
    shuffled = (generator.permutation(len(second)) for _ in range(n_permutations))  # one at a time
    x, y = similarity.centred(first), similarity.centred(second)
    axes, other_axes = similarity.leading(x, SHARE), similarity.leading(y, SHARE)
    found = np.array(
        [
            [
                np.nanmean(np.abs(matching.match_factors(x, y[order]).correlation)),
                similarity.mean_canonical(axes, other_axes[order]),
                similarity.cka(x, y[order]),
            ]
            for order in chain([np.arange(len(second))], shuffled)
        ]
    )
    index = pd.Index(["matched_r", "svcca", "cka"], dtype=object, name="measure")
    return pd.DataFrame({"value": found[0], "chance": found[1:].mean(axis=0)}, index=index)


def _scores(adata: AnnData, key: str | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and names of observations."""
    key = score_key(adata, key, where)
    scores = np.asarray(adata.obsm[key], dtype=np.float64)
    if not np.isfinite(scores).all():
        msg = f"{where}.obsm[{key!r}] holds NaN or infinite scores. Leave out the observations that have them."
        raise ValueError(msg)
    return scores, np.asarray(adata.obs_names).astype(str)
