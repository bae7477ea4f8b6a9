"""Scores as an AnnData of observations × factors, with what is known of each factor."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.public import public
from omicstl._data.results import TEST_KIND, factor_names, key_of_test, score_key, stability_of
from omicstl.models.factors import annotation

from ._model import model

if TYPE_CHECKING:
    from anndata import AnnData

SHORT = 30


@public
def factors(adata: AnnData, key: str | None = None, *, test: str | None = None) -> AnnData:
    """Scores of a fit or a projection as an AnnData of observations × factors, for any plot and test of scanpy.

    Its `var` is the supplementary table: what each factor is, whether it can be trusted here, and what the last test found.

    Parameters
    ----------
    adata
        An AnnData with ``obsm[key]`` of a fit or a projection.
    key
        Name that the scores were written under. `None` takes the only one there.
    test
        Name that `omicstl.tl.rank_factors_groups` wrote under, for the ``test_`` columns. `None` takes the only test of these
        scores, or of several the one under its default name.

    Returns
    -------
    AnnData of shape (n_obs, n_factors), float32, unitless scores, with the `obs` and `obsm` of `adata`. Columns of `var`:

    ``short``
        The name, cut to 30 characters: ``gene_symbols="short"`` of scanpy's plots.
    ``top_set``, ``top_auc``, ``top_fdr_nominal``, ``top_p_permutation``
        Of the sets confirmed at FDR < 0.05 and AUC > 0.7 the one with the largest weight, which the factor is named after;
        missing if none is confirmed (`omicstl.get.summary` has all that were tested).
    ``sets``
        All confirmed sets, the largest weight first, with AUC and FDR.
    ``top_genes``
        The ten genes with the largest loadings; for a network, with the largest attributions (`omicstl.tl.attributions`), and
        empty without them.
    ``stability``
        Median absolute correlation with the factor's match over refits (`omicstl.tl.stability`), NaN if not measured. A
        projection has its reference's.
    ``expected_r``, ``expected_slope``, ``present_loading``, ``interpretable``
        Of a projection: how well the genes at hand determine the factor.
    ``test_contrast``, ``test_effect``, ``test_effect_sd``, ``test_effect_sd_low``, ``test_effect_sd_high``, ``test_p``, ``test_fdr``
        If a test was made: the contrast with the largest t, its effect in score units and in standard deviations with its
        interval, and p-value and FDR of the test over all groups (which for two groups is that contrast's); NaN for
        factors that were not tested.

    `uns` has the entries of the scores (without the model) and of the test, so that `omicstl.cite` works on it.

    Raises
    ------
    KeyError
        If there are no such scores, or several and no `key`; if there is no such test, or several and no `test`.
    ValueError
        If `test` is of other scores.
    TypeError
        If `adata` is no AnnData.

    Notes
    -----
    Names of factors are `var_names`; ``factors.var.sort_values("test_fdr")`` puts the ones that differ on top. Scores have both signs:
    of ``sc.tl.rank_genes_groups`` use ``scores`` and p-values, its ``logfoldchanges`` have no meaning here, and it takes
    repeated samples of a patient as independent, which `omicstl.tl.rank_factors_groups` does not. Source: the scores :math:`B` of
    :cite:p:`Mao2019`. Cost: one copy.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> float(otl.get.factors(target).var["top_auc"].max())
    1.0
    """
    from anndata import AnnData

    key = score_key(adata, key)
    entry = adata.uns[key]
    names = factor_names(adata, key)
    short = [name if len(name) <= SHORT else f"{name[: SHORT - 1]}…" for name in names]
    var = pd.DataFrame({"short": np.array(short, dtype=object)}, index=pd.Index(names, dtype=object))
    if isinstance(entry.get("summary"), pd.DataFrame):
        _add_sets(var, entry["summary"])
    var["top_genes"] = _top_genes(adata, key, entry)
    var["stability"] = stability_of(entry, names.size)
    quality = entry.get("quality")
    if isinstance(quality, Mapping):
        for column in quality["factors"].columns.drop("factor"):
            var[column] = quality["factors"][column].to_numpy()
    found = _test_of(adata, key, test)
    uns = {key: {name: value for name, value in entry.items() if name != "model"}}
    if found is not None:
        _add_test(var, adata.uns[found])
        uns[found] = dict(adata.uns[found])
    return AnnData(
        np.array(adata.obsm[key], dtype=np.float32),
        obs=adata.obs.copy(),
        var=var,
        obsm={name: value.copy() for name, value in adata.obsm.items()},
        uns=deepcopy(uns),
    )


def _add_sets(var: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Write the leading confirmed set of each factor and its numbers, and all confirmed sets in words."""
    table = summary.assign(factor=summary["factor"].astype(str), set=summary["set"].astype(str))
    table = table[annotation.confirmed(table["auc"], table["fdr_nominal"])]
    table = table.sort_values("coefficient", ascending=False, kind="stable")
    first = table.drop_duplicates("factor").set_index("factor").reindex(var.index)
    var["top_set"] = pd.Categorical(first["set"])  # plain strings with missing ones among them cannot be written
    for column in ("auc", "fdr_nominal", "p_permutation"):
        var[f"top_{column}"] = first[column].to_numpy(dtype=np.float64)
    words = [
        f"{row.set} (AUC {row.auc:.2f}, FDR {row.fdr_nominal:.1g})"
        for row in table[["set", "auc", "fdr_nominal"]].itertuples(index=False)
    ]
    joined = pd.Series(words, index=table["factor"], dtype=object).groupby(level=0, sort=False).agg("; ".join)
    var["sets"] = joined.reindex(var.index).fillna("").to_numpy(dtype=object)


def _top_genes(adata: AnnData, key: str, entry: Mapping[str, Any]) -> np.ndarray:
    if "factors" in entry:
        return np.asarray(entry["factors"]["top_genes"], dtype=object)
    if f"{key}_attributions" in adata.varm and key not in adata.varm:  # scores of networks, which have no loadings
        weights = np.asarray(adata.varm[f"{key}_attributions"])
        if weights.shape[1] == len(entry["names"]):
            return annotation.largest(weights, np.asarray(adata.var_names))
    if "model" in entry:
        return annotation.top_genes(model(adata, key))
    return np.full(len(entry["names"]), "", dtype=object)


def _test_of(adata: AnnData, key: str, test: str | None) -> str | None:
    """Name of the test to show: the one asked for, the only one of these scores, or the one under the default name."""
    if test is not None:
        of = str(adata.uns[key_of_test(adata, test)]["params"]["key"])
        if of != key:
            msg = f"{test!r} is a test of the scores {of!r}, not of {key!r}: factors of one name need not be the same thing."
            raise ValueError(msg)
        return test
    own = [
        name
        for name, entry in adata.uns.items()
        if isinstance(entry, Mapping) and entry.get("kind") == TEST_KIND and entry["params"]["key"] == key
    ]
    if len(own) > 1 and f"{key}_test" not in own:
        msg = f"adata holds {len(own)} tests of {key!r}: {listed(sorted(own))}. Say which one: test={sorted(own)[0]!r}."
        raise KeyError(msg)
    return None if not own else own[0] if len(own) == 1 else f"{key}_test"


def _add_test(var: pd.DataFrame, entry: Mapping[str, Any]) -> None:
    table = entry["table"]
    largest = table.assign(size=table["t"].abs()).sort_values("size", ascending=False, kind="stable")
    largest = largest.drop_duplicates("factor").set_index("factor").reindex(var.index)
    overall = entry["overall"].set_index("factor").reindex(var.index)
    var["test_contrast"] = pd.Categorical(largest["contrast"])
    for column in ("effect", "effect_sd", "effect_sd_low", "effect_sd_high"):
        var[f"test_{column}"] = largest[column].to_numpy(dtype=np.float64)
    for column in ("p", "fdr"):
        var[f"test_{column}"] = overall[column].to_numpy(dtype=np.float64)
