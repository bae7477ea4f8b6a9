"""A test over factors as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omicstl._core.checks import missing_key
from omicstl._core.public import public
from omicstl._data.results import key_of_test

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@public
def rank_factors_groups_df(adata: AnnData, contrast: str | None = None, *, test: str | None = None) -> pd.DataFrame:
    """
    Table of a test over factors, the smallest p-value first.

    Parameters
    ----------
    adata
        An AnnData after `tl.rank_factors_groups`.
    contrast
        One contrast, such as ``"SLE - Healthy"``, or the name of the number that was tested. `None` takes all of them.
    test
        Name that the test was written under. `None` takes the only one there, or of several the one under its default name.

    Returns
    -------
    A copy of the rows, sorted by ``p``: ``factor``, ``contrast``, ``effect`` (units of the score) with ``se``, ``ci_low``
    and ``ci_high``, ``effect_sd`` (unitless) with its interval, ``t``, ``df``, ``p`` and ``fdr`` (over the factors of a contrast).

    Raises
    ------
    KeyError
        If there is no such test or contrast, or there are several tests and no `test`.
    TypeError
        If `adata` is no AnnData, or `contrast` no text.

    Notes
    -----
    The tests are those of :cite:t:`Smyth2004`, see `tl.rank_factors_groups`. Cost: one copy.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> adata.obs["group"] = ["a", "b", "c"] * 20
    >>> otl.tl.rank_factors_groups(adata, "group", reference_group="a")
    >>> otl.get.rank_factors_groups_df(adata, "b - a").shape
    (5, 13)
    """
    found = key_of_test(adata, test)
    table = adata.uns[found]["table"]
    if contrast is not None:
        names = table["contrast"].astype(str)
        if contrast not in set(names):
            raise missing_key(contrast, f"contrasts of {found!r}", list(dict.fromkeys(names)))
        table = table[(names == contrast).to_numpy()]
    return table.sort_values("p", kind="stable").reset_index(drop=True)
