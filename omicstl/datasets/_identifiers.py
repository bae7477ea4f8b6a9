"""Human gene symbols and Ensembl ids."""

from __future__ import annotations

import pandas as pd

from omicstl.datasets._files import data_file


def gene_identifiers() -> pd.DataFrame:
    """
    Human gene symbols and their Ensembl ids, one to one.

    The table of names that Geneformer uses :cite:p:`Theodoris2023`, here to bring data with Ensembl ids to gene sets
    with symbols, or the other way.

    Returns
    -------
    Table of 40,247 rows with the string columns ``gene_name`` and ``ensembl_id`` (without version).

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

    Rename the variables of ``adata`` and drop what has no symbol:

    >>> import anndata as ad, numpy as np, pandas as pd
    >>> var = pd.DataFrame(index=["ENSG00000081237", "ENSG00000000000"])
    >>> adata = ad.AnnData(np.zeros((3, 2), dtype=np.float32), var=var)
    >>> adata = adata[:, adata.var_names.isin(symbol.index)].copy()
    >>> adata.var_names = symbol[adata.var_names].tolist()
    >>> adata.var_names.tolist()
    ['PTPRC']
    """
    with data_file("gc30M_gene_name_id.tsv.gz").open("rb") as file:
        table = pd.read_csv(file, sep="\t", compression="gzip", dtype=str, keep_default_na=False, na_filter=False)
    return table[table["gene_name"] != ""].reset_index(drop=True)
