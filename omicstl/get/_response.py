"""Predicted responses as one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from omicstl._core.checks import listed, missing_key
from omicstl._core.public import public
from omicstl._data.adata import check_adata

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_CALLS = ("sensitive", "resistant", "uncertain")


@public
def response(adata: AnnData, key: str | None = None) -> pd.DataFrame:
    """
    Table of predicted responses: scores, their standard deviations and calls, cells by drugs.

    Parameters
    ----------
    adata
        An AnnData after `omicstl.tl.scdeal`, or after `omicstl.tl.predict` with such a fit.
    key
        Name that it was written under. `None` takes the only one there.

    Returns
    -------
    A new DataFrame, one row a cell. The columns have two levels: ``"score"`` (probability of being sensitive for two classes, else the
    expected response, turned so that larger is more sensitive), ``"std"`` and ``"call"`` ("sensitive", "resistant" or
    "uncertain"), and below each the drugs.

    Raises
    ------
    KeyError
        If there is no response, none under `key`, or several and no `key`.
    TypeError
        If `adata` is no AnnData.

    Notes
    -----
    ``otl.get.response(adata)["score"]`` is the table of scores alone. Cost: one copy.

    Examples
    --------
    >>> import omicstl as otl
    >>> cells, lines, truth = otl.datasets.simulate_drug_response(60, 100, 2100, n_drugs=2, rng=1)
    >>> otl.tl.scdeal(cells, lines, response_key="ln_ic50", sensitive="low")
    >>> otl.get.response(cells)["score"].columns.tolist()
    ['drug_1', 'drug/2']
    """
    import pandas as pd

    check_adata(adata)
    there = sorted(
        name
        for name, entry in adata.uns.items()
        if isinstance(entry, Mapping) and "drugs" in entry and entry.get("kind") in ("scdeal", "prediction")
    )
    if key is not None and key not in there:
        raise missing_key(key, "responses of adata.uns", there)
    if not there:
        msg = "adata holds no predicted response. Run otl.tl.scdeal(adata, lines, ...) or otl.tl.predict(adata, fitted) first."
        raise KeyError(msg)
    if key is None and len(there) > 1:
        msg = f"adata holds {len(there)} responses: {listed(there)}. Say which one: key={there[0]!r}."
        raise KeyError(msg)
    key = there[0] if key is None else key
    drugs = [str(name) for name in adata.uns[key]["drugs"]]
    if len(drugs) == 1:
        score, std = (adata.obs[f"{key}_{what}"].to_numpy()[:, None] for what in ("score", "std"))
        calls = adata.obs[f"{key}_call"].astype(str).to_numpy()[:, None]
    else:
        score, std = np.asarray(adata.obsm[f"{key}_response"]), np.asarray(adata.obsm[f"{key}_response_std"])
        calls = np.array(_CALLS, dtype=object)[np.asarray(adata.obsm[f"{key}_calls"])]
    parts = {
        what: pd.DataFrame(np.array(values), index=adata.obs_names.copy(), columns=drugs)
        for what, values in (("score", score), ("std", std), ("call", calls))
    }
    return pd.concat(parts, axis=1)
