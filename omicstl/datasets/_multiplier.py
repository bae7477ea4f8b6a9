"""Published scores of MultiPLIER for the bundled paediatric cohort."""

from __future__ import annotations

import pandas as pd

from omicstl._core.public import public

from ._files import data_file


@public
def multiplier_scores() -> pd.DataFrame:
    """
    Scores of the recount2 model of MultiPLIER for samples of `sle_pediatric`, as published :cite:p:`Taroni2019`.

    What the authors' model of 37,032 samples :cite:p:`ColladoTorres2017` says of the same patients: a yardstick for factors that
    were learnt on fewer.

    Returns
    -------
    Table of 924 samples (index: names of observations of `sle_pediatric`), unitless: ``LV524``, ``LV603``, ``LV985``, the
    factors that the authors relate to neutrophils (853 samples, else NaN), and ``LV951``, to plasma cells.

    Raises
    ------
    FileNotFoundError
        If the bundled file is missing.
    gzip.BadGzipFile, zlib.error, EOFError, ValueError
        If it is cut off, changed, empty or another file. Install the package again.

    Notes
    -----
    From the result tables of notebook 7 of ``greenelab/multi-plier``, rounded to five digits; derived from recount2 (CC BY 4.0).
    They come from the authors' own processing of the arrays, together with other cohorts. Cost: milliseconds.

    Examples
    --------
    >>> import omicstl as otl
    >>> published, cohort = otl.datasets.multiplier_scores(), otl.datasets.sle_pediatric()
    >>> percent = cohort.obs.loc[published.index, "neutrophil_percent"]
    >>> round(float(published["LV603"].corr(percent)) ** 2, 2)
    0.63
    """
    with data_file("multiplier_sle.tsv.gz").open("rb") as file:
        return pd.read_csv(file, sep="\t", compression="gzip", index_col="Sample").rename_axis(None)
