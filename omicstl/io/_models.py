"""Read and write models, and make one of a table of loadings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from omicstl._core.checks import check_number, listed
from omicstl._core.public import public
from omicstl._data import store
from omicstl.models import base, kinds
from omicstl.models.factors.factor_table import FactorTable


@public
def write_model(path: str | Path, model: base.Model) -> None:
    """
    Write a fitted model to a file that can be kept, shared and read again by every later version.

    Parameters
    ----------
    path
        File to write, by custom ``.npz``: a new name, or a file, which is replaced and hands down its mode. Of a link, the file
        that it points to is replaced. It is complete or not there: written under another name first, then moved.
    model
        What `omicstl.get.model` returned, or `factor_table`.

    Returns
    -------
    `None`; writes `path`.

    Raises
    ------
    TypeError
        If `model` is no model.
    FileNotFoundError
        If its folder does not exist.
    FileExistsError
        If `path` is a device, a pipe or a socket; `IsADirectoryError` if it is a folder.
    OSError
        If the file cannot be written. What stood there is then unchanged.

    Notes
    -----
    A zip of plain arrays with a manifest of names, shapes and SHA-256 sums; no code and no names of observations. Cost:
    one pass over the arrays.

    Examples
    --------
    >>> import tempfile, pathlib, pandas as pd, omicstl as otl
    >>> table = otl.io.factor_table(pd.DataFrame({"LV1": [1.0, 0.5]}, index=["CD19", "CD3E"]), penalty=1.0)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.npz"
    >>> otl.io.write_model(path, table)
    >>> otl.io.read_model(path).features.tolist()
    ['CD19', 'CD3E']
    """
    store.write_model(path, model.to_dict())


@public
def read_model(path: str | Path) -> base.Model:
    """
    Read a model that `write_model`, or a fit with ``model_path``, has written.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The model, with its arrays as attributes; pass it as `reference` to `omicstl.tl.project`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is no model of omicstl, or comes from a newer version.

    Notes
    -----
    Every array is checked against its SHA-256 sum before any is used, and nothing in the file is executed. Cost: one pass
    over the file.

    Examples
    --------
    >>> import tempfile, pathlib, pandas as pd, omicstl as otl
    >>> table = otl.io.factor_table(pd.DataFrame({"LV1": [1.0, 0.5]}, index=["CD19", "CD3E"]), penalty=1.0)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.npz"
    >>> otl.io.write_model(path, table)
    >>> otl.io.read_model(path).names.tolist()
    ['LV1']
    """
    found: base.Model = kinds.from_dict(store.read_model(path))
    return found


@public
def factor_table(table: pd.DataFrame, *, penalty: float) -> FactorTable:
    r"""
    Make a model of a published table of loadings, to project onto.

    Parameters
    ----------
    table
        Loadings, genes × factors: index of unique gene names, one column a factor, finite numbers in units of z-scores.
    penalty
        Ridge penalty of the scores (L2 of a PLIER result, its `score_penalty`), above 0.

    Returns
    -------
    A model of kind ``"factor_table"``. It knows no training mean, so `omicstl.tl.project` standardises by the query.

    Raises
    ------
    TypeError
        If `table` is no DataFrame of real numbers.
    ValueError
        If names repeat, values are not finite or beyond float32, the table is empty, or `penalty` is not above 0.

    Notes
    -----
    Scores are :math:`B = (Z^\top Z + \lambda I)^{-1} Z^\top Y` :cite:p:`Taroni2019`. Cost: one copy of the table.

    Examples
    --------
    >>> import pandas as pd, omicstl as otl
    >>> otl.io.factor_table(pd.DataFrame({"LV1": [1.0, 0.5]}, index=["CD19", "CD3E"]), penalty=2.0).loadings.shape
    (2, 1)
    """
    given: object = table
    if not isinstance(given, pd.DataFrame) or not all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes):
        msg = f"`table` must be a DataFrame of numbers, genes as index and factors as columns, got {type(given).__name__}."
        raise TypeError(msg)
    wrong = [str(name) for name, kind in table.dtypes.items() if kind.kind == "c"]
    if wrong:
        msg = (
            f"`table` must hold real numbers, and {listed(wrong)} are complex: their imaginary parts would be lost. Take what you mean of "
            "them first: table.apply(numpy.real), or numpy.abs."
        )
        raise TypeError(msg)
    check_number(
        "penalty", penalty, low=0, low_open=True, advice="Use the value published with the loadings (L2 of PLIER)."
    )
    if 0 in table.shape:
        msg = f"`table` must hold at least one gene and one factor, got shape {table.shape}."
        raise ValueError(msg)
    for what, names in (("gene names (index)", table.index), ("factor names (columns)", table.columns)):
        if names.hasnans:
            msg = f"The {what} of `table` hold {int(names.isna().sum())} missing names. Drop them: table[table.index.notna()]."
            raise ValueError(msg)
        written = names.astype(str)
        if not written.is_unique:
            msg = f"The {what} of `table` must be unique, got {listed(written[written.duplicated()].unique())} more than once."
            raise ValueError(msg)
    values = np.array(table.to_numpy(), dtype=np.float64, order="C")
    if not np.isfinite(values).all():
        msg = f"`table` holds {int((~np.isfinite(values)).sum())} values that are not finite. Fill or drop their genes."
        raise ValueError(msg)
    largest, single = np.abs(values).max(axis=0), np.finfo(np.float32)
    if largest.max() > single.max:
        n = int((np.abs(values) > single.max).sum())
        msg = f"`table` holds {n} values that are not finite in float32, such as {largest.max():.3g}. Divide the factors by a constant."
        raise ValueError(msg)
    lost = (largest > 0) & (largest < single.tiny)
    if lost.any():
        msg = (
            f"`table` holds factors that are too small for float32, {listed(table.columns[lost].astype(str))}: their largest loading is "
            f"{largest[lost][0]:.3g}, and must be at least {single.tiny:.3g}. Multiply the factors by a constant."
        )
        raise ValueError(msg)
    loadings = values.astype(np.float32)
    names = np.array([str(name) for name in table.columns], dtype=object)
    return FactorTable(np.array([str(name) for name in table.index], dtype=object), names, loadings, float(penalty))
