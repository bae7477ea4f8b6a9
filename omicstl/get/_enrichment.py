"""The gene sets that the genes of factors belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from omicstl._core.checks import check_number, listed, missing_key
from omicstl._core.public import public
from omicstl._data.adata import check_adata

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_KIND = "enrichment"


@public
def enrichment(
    adata: AnnData, factor: str | None = None, *, key: str | None = None, max_fdr: float | None = None
) -> pd.DataFrame:
    """
    Table of the gene sets of each factor, the smallest p-value first.

    Parameters
    ----------
    adata
        An AnnData after `omicstl.tl.enrich`.
    factor
        Name of one factor. `None` takes all of them.
    key
        Name that the enrichment was written under, such as ``"plier_enrichment"``. `None` takes the only one there, or of
        several the one under its default name.
    max_fdr
        Keep pairs with an FDR below it. `None` keeps all that were written.

    Returns
    -------
    A copy of the rows, sorted by ``p``: ``factor``, ``direction``, ``set``, ``n_overlap``, ``n_set``, ``n_top``,
    ``odds_ratio``, ``p``, ``fdr`` (over all tests) and ``genes``. Empty if no set was found.

    Raises
    ------
    KeyError
        If there is no such enrichment or factor, or there are several and no `key`.
    ValueError
        If `max_fdr` is not between 0 and 1.
    TypeError
        If `adata` is no AnnData, or an argument is of the wrong kind.

    Notes
    -----
    Fisher's exact test of one side :cite:p:`Rivals2007`, see `omicstl.tl.enrich`, which decides by its `fdr` what was
    written. Cost: one copy.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.enrich(adata, truth.gene_sets)
    >>> bool(otl.get.enrichment(adata, max_fdr=0.01)["p"].is_monotonic_increasing)
    True
    """
    if max_fdr is not None:
        check_number("max_fdr", max_fdr, low=0, high=1)
    found = _key(adata, key)
    entry = adata.uns[found]
    table = entry["table"]
    if factor is not None:
        names = [str(name) for name in entry["names"]]
        if factor not in names:
            raise missing_key(factor, f"factors of {found!r}", names)
        table = table[(table["factor"].astype(str) == factor).to_numpy()]
    if max_fdr is not None:
        table = table[(table["fdr"] < max_fdr).to_numpy()]
    return table.sort_values("p", kind="stable").reset_index(drop=True)


def _key(adata: AnnData, key: str | None) -> str:
    check_adata(adata)
    there = sorted(
        name for name, entry in adata.uns.items() if isinstance(entry, Mapping) and entry.get("kind") == _KIND
    )
    if key is not None:
        if key not in there:
            raise missing_key(key, "enrichments of adata", there)
        return key
    if not there:
        msg = "adata holds no enrichment. Run otl.tl.enrich(adata, gene_sets) first."
        raise KeyError(msg)
    default = [name for name in there if name == f"{adata.uns[name]['params']['key']}_{_KIND}"]
    if len(there) > 1 and len(default) != 1:
        msg = f"adata holds {len(there)} enrichments: {listed(there)}. Say which one: key={there[0]!r}."
        raise KeyError(msg)
    return there[0] if len(there) == 1 else default[0]
