"""What the page of a factor takes from its cohorts and its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl import get
from omicstl._core.checks import missing_key
from omicstl._data import store
from omicstl._data.columns import numbers, read_column
from omicstl._data.results import factor_names, score_key

from ._loadings import top_genes
from ._read import find_test, groups_of
from ._text import plural
from ._values import Values

if TYPE_CHECKING:
    from anndata import AnnData


def values_of(
    adata: AnnData, key: str, index: int, groupby: str | None, test: str | None, side: str, notes: list[str]
) -> Values:
    """Scores of the factor and the groups to draw them by, with the test if it is one of these groups."""
    where = "other" if side else "adata"
    found = find_test(adata, key, test, where=where, name=f"{side}test")
    entry = None if found is None else adata.uns[found]
    scores = np.asarray(adata.obsm[key], dtype=np.float64)[:, index]
    column = groupby
    if entry is not None and column is None:
        column = str(entry["params"]["phenotype"])
    if entry is not None and column != str(entry["params"]["phenotype"]):
        notes.append(f"the test {found!r}, which is of {entry['params']['phenotype']!r}")
        entry = None
    elif entry is None:
        notes.append(f"a test{' in the other cohort' if side else ''} (tl.rank_factors_groups makes it)")
    number = entry is not None and entry["params"]["phenotype_kind"] == "number"
    if number and column is not None:
        values = numbers(adata, column, name=where).numbers
        return Values(scores, None, values, column, *_block(adata, entry, where), entry)
    if column is None:
        return Values(scores, None, None, None, None, "", None)
    first = None if entry is None else entry["params"]["reference_group"]
    groups = groups_of(adata, column, name=f"{side}groupby", first=first, where=where)
    lost = int((groups.codes < 0).sum())
    if lost:
        notes.append(f"{plural(lost, 'observation')} without a value of {column!r}")
    return Values(scores, groups, None, column, *_block(adata, entry, where), entry)


def _block(adata: AnnData, entry: Any, where: str) -> tuple[np.ndarray | None, str]:
    name = None if entry is None else entry["params"].get("block")
    if not name or name not in adata.obs:
        return None, ""
    return read_column(adata, str(name), name=where).codes, str(name)


def same_factor(entry: Any, other: AnnData, other_key: str | None, factor: str) -> str:
    """Key of the other cohort's scores, which must be of the same reference."""
    other_key = score_key(other, other_key, "other")
    digests = [_digest(one) for one in (entry, other.uns[other_key])]
    if all(digests) and digests[0] != digests[1]:
        msg = (
            f"`other` holds factors of another reference (digest {digests[1][:12]}, here {digests[0][:12]}), so {factor!r} is not the "
            "same thing in both. Project both onto one reference."
        )
        raise ValueError(msg)
    names = [str(name) for name in factor_names(other, other_key)]
    if factor not in names:
        raise missing_key(factor, "the factors of other", names)
    return other_key


def _digest(entry: Any) -> str:
    return str(entry["reference"]["digest"]) if "reference" in entry else str(entry.get("digest", ""))


class Genes(NamedTuple):
    """Genes of a factor, the largest weight first; whether each is in the set, the set, and what the weights are."""

    names: list[str]
    weights: np.ndarray
    inside: np.ndarray
    chosen: str | None
    what: str = "loadings"


def genes_of(
    adata: AnnData, key: str, index: int, factor: str, n_genes: int, model: Any, notes: list[str]
) -> Genes | None:
    """Genes with the largest weights on the factor; `None` if nothing is known of them."""
    entry = adata.uns[key]
    fitted_model: Any = None
    if model is not None:
        fitted_model = get.model(model)
        if _digest(entry) not in ("", store.digest(fitted_model.to_dict())):
            msg = f"`model` is not what the scores in adata.obsm[{key!r}] come from (another digest). Pass that reference."
            raise ValueError(msg)
    elif "model" in entry:
        fitted_model = get.model(adata, key)
    if fitted_model is not None:
        names = [str(name) for name in fitted_model.names]
        if factor not in names:
            raise missing_key(factor, "the factors of `model`", names)
        if getattr(fitted_model, "loadings", None) is not None:
            genes, values, inside, chosen = top_genes(fitted_model, names.index(factor), factor, None, n_genes)
            return Genes(genes, values, inside, None if chosen is None else str(fitted_model.sets[chosen]))
    attributed = _attributed(adata, key, index, n_genes)
    if attributed is None and hasattr(model, "varm"):
        attributed = _attributed(model, get.fit_key(model), index, n_genes)
    if attributed is not None or fitted_model is not None:
        if attributed is None:
            notes.append("genes (tl.attributions finds them)")
        return attributed
    if key not in adata.varm:
        notes.append("genes (pass model=...)")
        return None
    notes.append("which genes are in the set (pass model=...)")
    return _largest(adata, np.asarray(adata.varm[key], dtype=np.float64)[:, index], n_genes, "loadings")


def _attributed(adata: AnnData, key: str, index: int, n_genes: int) -> Genes | None:
    """Genes by their attributions, for the scores of networks, which have no loadings."""
    weights = adata.varm.get(f"{key}_attributions")
    if weights is None or index >= np.shape(weights)[1]:
        return None
    return _largest(adata, np.asarray(weights, dtype=np.float64)[:, index], n_genes, "attributions")


def _largest(adata: AnnData, values: np.ndarray, n_genes: int, what: str) -> Genes | None:
    top = np.argsort(-np.abs(values), kind="stable")[:n_genes]
    top = top[values[top] != 0]
    if not top.size:
        return None
    return Genes([str(gene) for gene in adata.var_names[top]], values[top], np.zeros(top.size, dtype=bool), None, what)
