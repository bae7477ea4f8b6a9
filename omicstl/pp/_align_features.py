"""Bring the variables of an AnnData to those of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omicstl import get
from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, info, warn
from omicstl._core.public import public
from omicstl._data import adata as reader
from omicstl._data.commit import keep_variables
from omicstl._data.features import check_overlap, match_features

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import Model


@public
def align_features(
    adata: AnnData, reference: AnnData | Model | str | Path, *, key: str | None = None, copy: bool = False
) -> AnnData | None:
    """Keep the genes that a model knows, in the model's order.

    `omicstl.tl.project` matches genes itself; this is for a look at what is shared, and for methods of other packages that
    want two matrices with the same columns.

    Parameters
    ----------
    adata
        Data with unique `var_names` in the identifiers of the model. Shape (n_obs, n_vars).
    reference
        An AnnData with a fitted model, a model, or the path of a model file. It is only read.
    key
        Name that the fit was written under in `reference`. `None` takes the only model there.
    copy
        Return a copy instead of changing `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. `adata` keeps the shared genes alone, in the order of the model, with everything that belongs
    to them (`layers`, `varm`, `varp`); missing genes are not invented, and are named in a warning.

    Raises
    ------
    ValueError
        If no gene is shared (both kinds of identifiers are named) or names repeat.
    KeyError
        If `reference` holds no model, or several and no `key`.
    NotImplementedError
        If `adata` is backed by a file.

    Notes
    -----
    Names are compared exactly, as in the gene matching of :cite:p:`Taroni2019`. Cost: one copy of the kept columns.

    Examples
    --------
    >>> import omicstl as otl, pandas as pd
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> table = otl.io.factor_table(pd.DataFrame({"LV1": [1.0, 1.0]}, index=target.var_names[[5, 3]]), penalty=1.0)
    >>> otl.pp.align_features(target, table)
    >>> target.n_vars
    2
    """
    model = get.model(reference, key)
    names = reader.read(adata).var_names
    found = match_features(names, model.features)
    check_overlap(found, names, model.features, "adata.var_names", "the reference")
    if found.missing.size:  # before anything is changed, in case that warnings are errors
        share = found.missing.size / np.size(model.features)
        warn(
            f"{found.missing.size} genes of the reference ({share:.0%}) are not in the data: {listed(found.missing)}.",
            TransferWarning,
        )
    target = keep_variables(adata, found.have_index, copy=copy)
    info(f"Kept {found.have_index.size} of {names.size} genes, of {model.features.size} in the reference.")
    return target
