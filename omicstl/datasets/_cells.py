"""Blood cells with RNA and surface proteins counted."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicstl._core.public import public

from ._files import data_file


@public
def pbmc_citeseq() -> ad.AnnData:
    """
    Blood cells of two runs with RNA and 14 surface proteins counted (CITE-seq), for models of counts.

    400 mononuclear cells, 200 of each of two public data sets of 10x Genomics (v3 chemistry).

    Returns
    -------
    AnnData, shape (400, 2005). ``X`` is CSR, float32, raw counts (UMI) of the 2,000 most variable genes and some markers. ``obs``
    has ``batch`` (``"pbmc10k"``, ``"pbmc5k"``) and ``total_counts`` (of all genes); ``obsm["protein"]`` is a DataFrame of antibody counts.

    Raises
    ------
    FileNotFoundError
        If the bundled file is missing.
    zipfile.BadZipFile, lzma.LZMAError, EOFError, ValueError
        If it is cut off, changed, empty or another file. Damage to its table of contents may also raise a `KeyError`,
        `OSError` or `RuntimeError`. Install the package again.

    Notes
    -----
    10x Genomics, "10k PBMCs from a healthy donor" and "5k PBMCs from a healthy donor" with a panel of TotalSeq-B antibodies,
    CC BY 4.0, in the subsample that scvi-tools tests with. Nothing was normalised.

    Examples
    --------
    >>> from omicstl.datasets import pbmc_citeseq
    >>> cells = pbmc_citeseq()
    >>> cells.shape[0], cells.obs["batch"].value_counts().to_dict()
    (400, {'pbmc10k': 200, 'pbmc5k': 200})
    """
    with data_file("pbmc_citeseq.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        counts, columns = (
            arrays[f"{name}_low"].astype(np.int32) + 256 * arrays[f"{name}_high"].astype(np.int32)
            for name in ("counts", "columns")
        )
        obs_names, var_names = (pd.Index(arrays[name].tolist()) for name in ("obs_names", "var_names"))
        shape = (obs_names.size, var_names.size)
        x = sp.csr_matrix((counts.astype(np.float32), columns, arrays["row_starts"]), shape=shape)
        batch = pd.Categorical.from_codes(
            arrays["codes_batch"], categories=pd.Index(arrays["categories_batch"].tolist())
        )
        obs = pd.DataFrame({"batch": batch, "total_counts": arrays["total_counts"]}, index=obs_names)
        proteins = pd.DataFrame(
            arrays["proteins"].astype(np.float32), index=obs_names, columns=arrays["protein_names"].tolist()
        )
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=var_names), obsm={"protein": proteins})
