"""How far the factors of a fit can be found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl import get
from omicstl._core.checks import check_number, listed, missing_key
from omicstl._core.log import progress as progress_bar
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data import adata as reader
from omicstl._data.blocks import RowSource
from omicstl._data.features import match_features
from omicstl._data.run import start
from omicstl.kernels import stats
from omicstl.models.factors.plier.model import PlierModel, PlierOptions, Prepared, prepare

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.factors.plier.stability import Refits

REPRODUCED = 0.9
MOST_REFITS = 10_000
SAME = 0.01  # largest change of a gene since the fit, in its standard deviations


@public
def stability(
    adata: AnnData,
    key: str | None = None,
    *,
    n_refits: int = 10,
    rng: SeedLike = 0,
    copy: bool = False,
    progress: bool | None = None,
) -> AnnData | None:
    """Score how far each factor, and each factor's gene sets, come back when the fit is repeated.

    The answer of PLIER depends on arbitrary signs of singular vectors, on the start and on which members of the sets are
    held out. Every refit changes all of them at once, with the sizes and penalties of the fit; factors are matched one to
    one by the correlation of their scores. What does not come back should not be interpreted.

    Parameters
    ----------
    adata
        The data that the model was fitted on, with the fit in it.
    key
        Name that the fit was written under. `None` takes the only model there.
    n_refits
        Number of refits. Even ones flip the signs of the singular vectors, odd ones start from random directions.
    rng
        Seed; the same seed gives the same refits.
    copy
        Return a copy instead of writing into `adata`.
    progress
        Show a bar of refits. `None` follows ``settings.progress``.

    Returns
    -------
    `None`, or a copy if `copy`. Writes ``uns[key]["stability"]``: ``factors``, a table with the median and the lowest
    absolute correlation of each factor with its match (unitless) and the share of refits above 0.9; ``pairs``, the share of refits in
    which the matched factor has the set again with FDR < 0.05; ``params``.

    Raises
    ------
    KeyError, ValueError
        If there is no model, or `adata` no longer holds the data it was fitted on.
    NotImplementedError
        If models of this kind cannot be refitted.

    Notes
    -----
    The original matches 67 % of its own factors with absolute correlation > 0.9 from a random start, and 87 % with other
    hold-outs (whole blood, 36 samples, 30 factors), and says nothing of it :cite:p:`Mao2019`. Cost: `n_refits` fits without compilation, side by side on the
    cores where Y is held; else one after the other, each with one more pass over the data.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.stability(target, n_refits=2)
    >>> target.uns["plier"]["stability"]["factors"].shape
    (5, 4)
    """
    check_number("n_refits", n_refits, low=1, high=MOST_REFITS, integer=True)
    model: Any = get.model(adata, key)
    key = get.fit_key(adata) if key is None else key
    run = start("stability", adata, key, copy=copy)
    _check_model(model)
    if key not in adata.obsm:
        raise missing_key(key, "adata.obsm", list(adata.obsm))
    entry = adata.uns[key]
    params, table = entry["params"], entry["summary"]
    data, rows = _data_of_fit(adata, model, params["layer"])
    significant = table[table["fdr_nominal"] < 0.05]
    sets, names = (
        pd.Index(index).get_indexer(significant[of]) for index, of in ((model.sets, "set"), (model.names, "factor"))
    )
    options = _options_of_fit(model, entry)
    holdout = 0.2 if params["holdout"] is None else float(params["holdout"])  # None: the fit was given its own
    random = streams(rng)
    from omicstl.models.factors.plier.stability import Repeated, refit_plier

    first = Repeated(model, np.asarray(adata.obsm[key]), sets, names)
    with progress_bar(n_refits, "refits", progress) as bar:
        refits = refit_plier(first, data, rows, options, n_refits, holdout, random, done=bar.update)
    factors, pairs = _tables(refits, model.names, significant)
    used = {"n_refits": int(n_refits), "seed": str(random.entropy)}
    written = run.amend({"stability": {"factors": factors, "pairs": pairs, "params": used}})
    share = float(np.mean(factors["median_r"] > REPRODUCED))
    run.tell(
        f"{share:.0%} of {len(factors)} factors come back with a median |r| above {REPRODUCED:g} in {n_refits} refits."
    )
    return written


def _check_model(model: Any) -> None:
    """Refuse what cannot be refitted."""
    if not isinstance(model, PlierModel):
        msg = f"A model of kind {model.kind!r} cannot be refitted: it was not learnt from these data. Allowed: 'plier'."
        raise NotImplementedError(msg)
    if model.mean is None or model.scale is None:
        msg = (
            "This plier model was fitted and published elsewhere, without the mean and spread of its data (io.read_plier): it "
            "cannot be told whether these are the data, so it is not refitted. Fit the data again with otl.tl.plier."
        )
        raise ValueError(msg)


def _data_of_fit(adata: AnnData, model: Any, layer: str | None) -> tuple[Prepared, RowSource]:
    """The data that the model was fitted on, standardised, and their rows; other data are refused."""
    expression = reader.read(adata, layer=layer)
    found = match_features(expression.var_names, model.features)
    if found.missing.size or expression.rows.n_rows != model.n_obs:
        msg = (
            f"adata is not what the model was fitted on: {expression.rows.n_rows} observations of {model.n_obs}, "
            f"{found.have_index.size} genes of {model.features.size}. Pass the data of the fit."
        )
        raise ValueError(msg)
    expression = expression.select(found.have_index)
    gram = 2 * expression.rows.n_rows > expression.rows.n_cols
    seen = stats.finish(reader.summarise(expression, gram=gram), overwrite=True)
    shift, stretch = np.abs(seen.mean - model.mean), np.abs(np.sqrt(seen.variance) - model.scale)
    changed = np.maximum(shift, stretch) > SAME * model.scale
    if changed.any():
        msg = (
            f"{expression.where} is not what the model was fitted on: mean or spread of {listed(model.features[changed])} "
            "is another. Pass the data of the fit."
        )
        raise ValueError(msg)
    return prepare(expression.rows, seen), expression.rows


def _options_of_fit(model: PlierModel, entry: Mapping[str, Any]) -> PlierOptions:
    """The options that give the fit again."""
    params = entry["params"]
    return PlierOptions(
        n_factors=int(model.names.size),
        annotated_fraction=float(params["annotated_fraction"]),
        max_rank=int(params["max_rank"]),
        selection=str(params["selection"]),
        prior_weight=model.prior_weight,
        score_penalty=model.score_penalty,
        set_penalty=None if len(entry["penalty_path"]) else model.set_penalty,  # no search: it was given
        tol=float(params["tol"]),
        max_iter=int(params["max_iter"]),
    )


def _tables(refits: Refits, names: np.ndarray, significant: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each factor, and for each of its significant sets."""
    factors = pd.DataFrame(
        {
            "factor": names,
            "median_r": np.median(refits.correlation, axis=0),
            "lowest_r": refits.correlation.min(axis=0),
            "share_reproduced": np.mean(refits.correlation > REPRODUCED, axis=0),
        }
    )
    found_pairs = pd.DataFrame(
        {
            "factor": significant["factor"].to_numpy(dtype=object),
            "set": significant["set"].to_numpy(dtype=object),
            "share_found": refits.found.mean(axis=0) if len(significant) else np.zeros(0),
        }
    )
    return factors, found_pairs
