"""Gene sets that come with the package."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file

from omicstl._core.checks import check_choice
from omicstl._core.public import public
from omicstl._data.gmt import GmtSet, parse_gmt

from ._files import data_file

_FILES = {"blood": "blood.gmt", "pid": "pid.gmt.gz", "reactome": "reactome.gmt.gz"}


@lru_cache(maxsize=len(_FILES))
def _collection(name: str) -> tuple[GmtSet, ...]:
    with as_file(data_file(_FILES[name])) as path:
        return tuple(parse_gmt(path))


@public
def gene_sets(*names: str) -> dict[str, list[str]]:
    """
    Gene sets that come with the package, as human gene symbols.

    Parameters
    ----------
    names
        One or more collections: ``"reactome"`` (252 pathways), ``"pid"`` (116 signalling pathways), ``"blood"``
        (markers of nine kinds of blood cells). Several are merged, in the order given.

    Returns
    -------
    Name of each set and its genes, as `omicstl.tl.plier` and `omicstl.io.write_gmt` take them. A fresh dict each time.

    Raises
    ------
    ValueError
        If no collection is named, or one is not known.

    Notes
    -----
    Reactome and PID: MSigDB C2, as in the R package PLIER :cite:p:`Mao2019`, CC BY 4.0, credit to Reactome
    :cite:p:`Croft2014`, the Pathway Interaction Database :cite:p:`Schaefer2009` and MSigDB :cite:p:`Liberzon2011`.
    The blood markers are our own choice of canonical genes; the papers behind each set stand in the second column of
    the file. They hold former symbols too (``IL8RB`` beside ``CXCR2``, ``IGJ`` beside ``JCHAIN``), since older arrays
    use them. No set shares a gene with another, so that factors can be told apart; cytotoxic T cells share ``GNLY``,
    ``PRF1``, ``GZMB`` and ``NKG7`` with NK cells all the same.

    Examples
    --------
    >>> from omicstl.datasets import gene_sets
    >>> print(", ".join(gene_sets("blood")))
    Neutrophil, Granulocyte precursor, Monocyte, B cell, T cell, NK cell, Plasma cell, Platelet, Erythroid
    >>> len(gene_sets("blood", "reactome"))
    261
    """
    if not names:
        known = ", ".join(map(repr, _FILES))
        msg = f"`names` needs at least one of {known}, got none. Write gene_sets('blood', 'reactome')."
        raise ValueError(msg)
    for name in names:
        check_choice("names", name, _FILES)
    return {item.name: list(item.genes) for name in names for item in _collection(name)}
