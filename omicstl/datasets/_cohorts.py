"""Two cohorts of whole blood in systemic lupus erythematosus, from two laboratories."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from omicstl._core.public import public

from ._files import data_file

_STEP = np.float32(1 / 32)  # the values are whole multiples of it


def _load(name: str) -> ad.AnnData:
    """Unpack a cohort: residuals from the gene's median, in two planes of bytes, genes × observations."""
    with data_file(name).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        scaled = arrays["low"].astype(np.int16)
        scaled += arrays["high"].astype(np.int16) * np.int16(256)
        scaled += arrays["median"][:, None]
        x = np.ascontiguousarray(scaled.T, dtype=np.float32)
        x *= _STEP
        columns: dict[str, object] = {}
        for column in arrays["columns"].tolist():
            if f"codes_{column}" in arrays:
                categories = pd.Index(arrays[f"categories_{column}"].tolist())
                columns[column] = pd.Categorical.from_codes(arrays[f"codes_{column}"], categories=categories)
            else:
                columns[column] = arrays[f"values_{column}"]
        obs = pd.DataFrame(columns, index=pd.Index(arrays["obs_names"].tolist()))
        var = pd.DataFrame(index=pd.Index(arrays["var_names"].tolist()))
    return ad.AnnData(x, obs=obs, var=var)


@public
def sle_pediatric() -> ad.AnnData:
    """
    Whole blood of children with lupus and of healthy children, the compendium to learn from :cite:p:`Banchereau2016`.

    972 arrays (Illumina HT-12 v4) of 158 patients seen up to 25 times and of 46 healthy children, with measured blood
    counts. Its 4,470 genes are members of common pathway collections that vary in these data.

    Returns
    -------
    AnnData, shape (972, 4470). ``X`` is float32, log2 intensity as the submitters normalised it. Columns of ``obs``
    include ``subject``, ``visit``, ``batch`` (two), ``disease_state`` (``"SLE"``, ``"Healthy"``),
    ``sledai`` (disease activity), ``neutrophil_percent``, ``lymphocyte_percent``, ``monocyte_percent`` (% of
    leukocytes), ``neutrophil_count``, ``lymphocyte_count``, ``monocyte_count``, ``platelet_count``, ``wbc`` (1,000 per
    microlitre), complement, organ involvement and treatment. Missing measurements are NaN.

    Raises
    ------
    FileNotFoundError
        If the bundled file is missing.
    zipfile.BadZipFile, lzma.LZMAError, EOFError, ValueError
        If it is cut off, changed, empty or another file. Damage to its table of contents may also raise a `KeyError`,
        `OSError` or `RuntimeError`. Install the package again.

    Notes
    -----
    ArrayExpress E-GEOD-65391 (GEO GSE65391), CC0. Probes became gene symbols of 2018; each symbol has its brightest
    probe. 24 technical replicates were left out. Values are rounded to 1/32, nothing was normalised or batch-corrected,
    and batch and health are confounded. Clinical values are as deposited: a few are implausible (haemoglobin 136).
    Cost: about a quarter of a second.

    Examples
    --------
    >>> from omicstl.datasets import sle_pediatric
    >>> compendium = sle_pediatric()
    >>> compendium.shape
    (972, 4470)
    >>> compendium.obs["disease_state"].value_counts().to_dict()
    {'SLE': 924, 'Healthy': 48}
    """
    return _load("sle_pediatric.npz")


@public
def sle_adult() -> ad.AnnData:
    """
    Whole blood of adults with lupus and of healthy adults, with cells counted by flow cytometry :cite:p:`Chiche2014`.

    177 arrays (Illumina HT-12 v4, another laboratory and normalisation than :func:`sle_pediatric`): 157 of 62 patients
    seen up to 6 times, and 20 healthy controls. The cohort to transfer to.

    Returns
    -------
    AnnData, shape (177, 5034). ``X`` is float32, log2 intensity as the submitters normalised it. Columns of ``obs``
    include ``subject``, ``visit``, ``disease_state`` (``"SLE"``, ``"Healthy control of SLE"``), ``sledai``,
    ``b_cells``, ``cd4_t_cells``, ``cd8_t_cells``, ``nk_cells`` (flow cytometry, cells per microlitre),
    ``neutrophil_count``, ``lymphocyte_count``, ``eosinophil_count``, ``wbc`` (per microlitre), ``platelet_count``
    (1,000 per microlitre), ``neutrophil_percent``, ``lymphocyte_percent`` (100 × count / ``wbc``), organ
    involvement and treatment. Missing measurements are NaN.

    Raises
    ------
    FileNotFoundError
        If the bundled file is missing.
    zipfile.BadZipFile, lzma.LZMAError, EOFError, ValueError
        If it is cut off, changed, empty or another file. Damage to its table of contents may also raise a `KeyError`,
        `OSError` or `RuntimeError`. Install the package again.

    Notes
    -----
    ArrayExpress E-GEOD-49454 (GEO GSE49454), CC0. Prepared as :func:`sle_pediatric`. In two samples the neutrophil
    count exceeds ``wbc``; their percentages are NaN. Cost: about 0.1 seconds.

    Examples
    --------
    >>> from omicstl.datasets import sle_adult
    >>> cohort = sle_adult()
    >>> cohort.shape, int(cohort.obs["b_cells"].notna().sum())
    ((177, 5034), 101)
    """
    return _load("sle_adult.npz")
