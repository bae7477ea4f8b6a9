"""Published PLIER results as models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from omicstl._core.log import ScaleWarning, info, warn
from omicstl._core.optional import need
from omicstl._core.public import public
from omicstl.models.factors.plier import published

from . import _plier_tables as tables, _rds

if TYPE_CHECKING:
    from omicstl.models.factors.plier.model import PlierModel

    from ._rds_values import Value

CENTRED = 0.1  # SD; the mean of every factor's scores is 0 where rows were z-scored
PARTS = ("Z", "U", "B", "C", "L1", "L2", "L3", "heldOutGenes", "summary")


@public
def read_plier(path: str | Path) -> PlierModel:
    r"""
    Read a PLIER result that somebody fitted in R and published, as a model to project onto :cite:p:`Mao2019`.

    The recount2 model of MultiPLIER :cite:p:`Taroni2019` is such a result:
    ``otl.tl.project(adata, otl.io.read_plier("recount_PLIER_model.RDS"))``.

    Parameters
    ----------
    path
        An ``.rds`` file with the list that ``PLIER()`` returns, plain or compressed by gzip, bzip2 or xz; it needs the extra
        ``r`` (``pip install "omicstl[r]"``). Or a folder of tables, each ``.tsv``, ``.csv``, ``.tsv.gz`` or ``.csv.gz`` with a
        line of column names: ``Z`` (genes × factors, names of genes first) and ``parameters`` (rows L1, L2, L3 and one column
        of values) are needed; ``U`` (sets × factors), ``C`` (genes × sets, 0 and 1), ``B`` (factors × samples), ``heldOutGenes``
        (columns set, gene) and ``summary`` (columns pathway, LV index, AUC, p-value, FDR) are optional. The notes
        have the lines of R that write it.

    Returns
    -------
    A model of kind ``"plier"`` with the published loadings (float32, shape (n_genes, n_factors), in units of z-scores), weights
    and penalties, factors in their order: LV 603 of a paper is the 603rd here. Keep it with `omicstl.io.write_model`.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    ImportError
        If `path` is an ``.rds`` file and `rdata` is not installed.
    ValueError
        If the file or a table is damaged, cut off, no PLIER result, or larger than the bounds below; if Z or L2 is missing,
        numbers are not finite, names repeat, or sizes do not agree. The reason is named.

    Warns
    -----
    ScaleWarning
        If the published scores are not centred: the genes were not z-scored, as a projection does it.

    Notes
    -----
    **What is not in such a result**: the data, hence their mean and spread. ``standardize="reference"`` and ``"center"``,
    `omicstl.pp.match_distribution` and `omicstl.tl.stability` refuse the model for that reason. Without U there are no gene
    sets, without C they have no members (AUC 0.5); without B there is no covariance of the scores, and the expected agreement
    that a projection reports takes the ridge at its word.

    **Names** are those of our own fits: ``"LV3 Neutrophil"`` after the set of the largest weight among those with FDR < 0.05 and
    AUC > 0.7 on held-out members, or in ``summary`` where none are known. The original also names factors after sets that
    fail the test (`nameB`). AUCs are computed anew, of every set and all its genes.

    **Noise** of a gene is 1 less what the scores explain of it. That takes the residuals R, but B is the ridge solution of Z,
    so that :math:`Z^\top R B^\top = \lambda B B^\top`; the smallest such :math:`R B^\top` is used. With the exact noise the expected
    correlation of a factor would differ by at most 0.001 with 70 % of the genes and by 0.009 with 15 % (two runs of the
    original, ``benchmarks/fidelity_read_plier.py``).

    **Safety**. Only vectors, matrices, lists, factors and data frames are read; functions, environments, calls, pointers and S4
    objects are refused, nothing is executed. At most 16 GiB are decompressed, 2 GiB are held of one value (4 GiB of a
    table) and 1,000,000 strings or values are counted; declared lengths are checked before anything is allocated.

    **Cost**. Two passes over an ``.rds``; values that are not needed, such as the residuals (genes × samples), are never held, and
    memory is at most four times the largest of Z, U, B and C: 17 s and 0.36 GB for a quarter of recount2 (9,258 samples, a file of
    555 MB). Leave B out (``r$B <- NULL``) if it is too large.

    A folder, from R::

        put <- function(x, name) write.table(x, file.path("model", paste0(name, ".tsv")), sep = "\t", quote = FALSE, col.names = NA)
        dir.create("model")
        for (name in c("Z", "U", "B", "C", "summary")) put(r[[name]], name)
        put(data.frame(value = c(L1 = r$L1, L2 = r$L2, L3 = r$L3)), "parameters")
        held <- r$heldOutGenes
        put(data.frame(set = rep(names(held), lengths(held)), gene = unlist(held), row.names = NULL), "heldOutGenes")

    Examples
    --------
    >>> import tempfile, pathlib, pandas as pd, omicstl as otl
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> z = pd.DataFrame({"LV1": [1.0, 0.5], "LV2": [0.0, 2.0]}, index=["CD19", "CD3E"])
    >>> z.to_csv(folder / "Z.tsv", sep="\t")
    >>> pd.DataFrame({"value": [2.0]}, index=["L2"]).to_csv(folder / "parameters.tsv", sep="\t")
    >>> otl.io.read_plier(folder).loadings.shape
    (2, 2)
    """
    source = Path(path)
    if not source.exists():
        msg = f"There is no file or folder {str(source)!r}."
        raise FileNotFoundError(msg)
    if source.is_file() and source.suffix.lower() != ".rds":
        way_out = (
            "otl.io.read_model reads model files of omicstl"
            if source.suffix == ".npz"
            else "pass an .rds file or a folder"
        )
        msg = f"{str(source)!r} is neither an .rds file nor a folder of tables; {way_out}."
        raise ValueError(msg)
    rdata = need("rdata", "r") if source.is_file() else None
    try:
        result = _from_folder(source) if rdata is None else _from_list(_rds.read_list(source, PARTS, rdata))
        parts = published.check(result)
    except (ValueError, *_rds.BROKEN) as error:
        reason = str(error) if isinstance(error, ValueError) else f"it is damaged ({type(error).__name__}: {error})"
    else:
        if published.shift(parts) > CENTRED:
            warn(
                f"The scores in {str(source)!r} are not centred (a mean of {published.shift(parts):.2f} SD): the genes were not "
                "z-scored before that fit. A projection z-scores them, so it is not what the model was fitted for.",
                ScaleWarning,
            )
        model = published.to_model(parts, result.summary)
        info(f"Read a published PLIER: {model!r}")
        return model
    msg = f"{str(source)!r} cannot be used as a PLIER result: {reason.rstrip('.')}."
    raise ValueError(msg)


def _from_list(values: dict[str, Value]) -> published.Published:
    matrices: dict[str, pd.DataFrame | None] = {}
    for name in ("Z", "U", "B", "C"):
        matrices[name] = values[name].matrix() if name in values else None
        if name in values and matrices[name] is None:
            msg = f"{name} is no matrix of numbers"
            raise ValueError(msg)
    numbers = {name: values[name].numbers for name in ("L1", "L2", "L3") if name in values}
    for name, found in numbers.items():
        if found is None or found.size != 1:
            msg = f"{name} is not one number"
            raise ValueError(msg)
    heldout = None
    if "heldOutGenes" in values:
        heldout = {name: genes.strings() or () for name, genes in values["heldOutGenes"].by_name().items()}
    return _complete(
        matrices,
        {name: float(found[0]) for name, found in numbers.items() if found is not None},
        heldout,
        values["summary"].frame() if "summary" in values else None,
    )


def _from_folder(folder: Path) -> published.Published:
    matrices = {name: tables.read_matrix(folder, name) for name in ("Z", "U", "B", "C")}
    numbers = {}
    rows = tables.read_texts(folder, "parameters")
    if rows is not None:
        if rows.shape[1] != 2:
            msg = f"parameters has {rows.shape[1]} columns; names (L1, L2, L3) and values are expected"
            raise ValueError(msg)
        for name, value in zip(rows.iloc[:, 0], rows.iloc[:, 1]):
            numbers[str(name)] = float(value)
    heldout: dict[str, list[str]] | None = None
    pairs = tables.read_texts(folder, "heldOutGenes")
    if pairs is not None:
        if not {"set", "gene"} <= set(pairs.columns):
            msg = f"heldOutGenes has the columns {list(pairs.columns)}; 'set' and 'gene' are needed"
            raise ValueError(msg)
        heldout = {str(name): list(genes) for name, genes in pairs["gene"].groupby(pairs["set"].to_numpy(), sort=False)}
    return _complete(matrices, numbers, heldout, tables.read_texts(folder, "summary"))


def _complete(
    matrices: dict[str, pd.DataFrame | None],
    numbers: dict[str, float],
    heldout: Mapping[str, Sequence[str | None]] | None,
    summary: pd.DataFrame | None,
) -> published.Published:
    z = matrices["Z"]
    if z is None:
        msg = "it has no Z, the loadings (genes × factors)"
        raise ValueError(msg)
    if "L2" not in numbers:
        msg = "it has no L2, the penalty of the scores (a row of the table 'parameters', or a value of the list)"
        raise ValueError(msg)
    return published.Published(
        Z=z,
        U=matrices["U"],
        B=matrices["B"],
        C=matrices["C"],
        L1=numbers.get("L1"),
        L2=numbers["L2"],
        L3=numbers.get("L3"),
        heldout=heldout,
        summary=summary,
    )
