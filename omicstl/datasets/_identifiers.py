"""Human gene symbols and Ensembl ids."""

from __future__ import annotations

import pandas as pd

from omicstl._core.public import public
from omicstl._data.identifiers import bundled_identifiers


@public
def gene_identifiers() -> pd.DataFrame:
    """
    Human gene symbols and their Ensembl ids, one to one.

    The table of names that Geneformer uses :cite:p:`Theodoris2023`, here to bring data with Ensembl ids to gene sets
    with symbols, or the other way.

    Returns
    -------
    Table of 40,247 rows with the string columns ``gene_name`` and ``ensembl_id`` (without version).

    Raises
    ------
    FileNotFoundError
        If the bundled file is missing.
    gzip.BadGzipFile, zlib.error, EOFError, ValueError
        If it is cut off, changed, empty or another file. Install the package again.

    Notes
    -----
    Apache-2.0. One id without a name is left out. A symbol that several ids carry has one of them here, and former
    symbols are missing: expect to lose a few percent of the genes of older arrays. Cost: about 50 ms.

    Examples
    --------
    >>> from omicstl.datasets import gene_identifiers
    >>> symbol = gene_identifiers().set_index("ensembl_id")["gene_name"]
    >>> symbol["ENSG00000081237"]
    'PTPRC'

    `omicstl.pp.map_features` brings the variables of an AnnData from one to the other.
    """
    return bundled_identifiers()
