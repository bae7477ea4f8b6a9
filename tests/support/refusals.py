"""What a refused call owes to the user: a message with all it needs, and an unchanged object."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from anndata import AnnData

from tests.contract.cases import query
from tests.support.snapshots import changes, snapshot


def refused(
    verb: Callable[..., Any],
    adata: AnnData,
    error: type[BaseException],
    words: Iterable[str],
    *more: Any,
    **options: Any,
) -> None:
    """The call fails with all `words` (regular expressions) in its message, and leaves the object as it was."""
    before = snapshot(adata)
    with pytest.raises(error) as caught:
        verb(adata, *more, **options)
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} is not in: {caught.value}"
    assert not changes(before, snapshot(adata))


def renamed(adata: AnnData, names: Callable[[list[str]], list[str]]) -> AnnData:
    """Other names of genes; anndata warns of duplicates itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.var_names = names(list(adata.var_names))
    return adata


def changed_query(x: Callable | None = None, names: Callable[[list[str]], list[str]] | None = None) -> AnnData:
    """The second cohort of the cases with other values or names."""
    adata = query()
    if x is not None:
        adata.X = x(adata.X)
    return adata if names is None else renamed(adata, names)


def put(value: float, row: int = 3, gene: str = "GENE003") -> Callable:
    """A change of one value."""

    def change(x: Any) -> Any:
        x = x.copy()
        x[row, query().var_names.get_loc(gene)] = value
        return x

    return change
