"""The fitted model, wherever it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omicstl._core.checks import listed, missing_key
from omicstl._core.public import public
from omicstl._data import store
from omicstl._data.adata import check_adata, read_uns
from omicstl.models import base, kinds

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import Model

_CONCAT = "ad.concat drops or merges `uns`: join with merge='same', uns_merge='same', or take the model before joining"


@public
def model(adata: AnnData | Model | str | Path, key: str | None = None) -> Model:
    """Take a fitted model out of an AnnData, or out of a model file.

    Parameters
    ----------
    adata
        An AnnData that a fitting verb has written to; the path of such an ``.h5ad`` or ``.zarr`` (only its ``uns`` is read) or
        of a model file; or a model, which is returned as it is.
    key
        Name that the fit was written under. `None` takes the only model there.

    Returns
    -------
    The model: its arrays are attributes, e.g. ``loadings`` of shape (n_features, n_factors) with ``features`` and ``names``.

    Raises
    ------
    KeyError
        If there is no model, none under `key`, or several and no `key`.
    ValueError
        If the stored model is incomplete or was changed, for example by a concatenation, or if `key` is given without an AnnData.
    FileNotFoundError
        If the model was kept in a file (`model_path` of the fit) that is not there. A relative path is one from the working folder.
    TypeError
        If `adata` is none of the three.

    Notes
    -----
    The model is the truth and ``varm`` a view of it for plots. Its digest is compared with the one noted at the fit.
    Cost: one pass over the model's bytes. No data of the observations are in it.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.get.model(target).loadings.shape[1]
    5
    """
    if isinstance(adata, str | Path) and Path(adata).suffix in (".h5ad", ".zarr"):
        adata = read_uns(adata)
    if key is not None and isinstance(adata, str | Path | base.Model):
        msg = f"`key` names a fit within an AnnData, got key={key!r} with a {type(adata).__name__}. Leave the key out."
        raise ValueError(msg)
    if isinstance(adata, str | Path):
        if Path(adata).suffix.lower() == ".rds":
            msg = f"{str(adata)!r} is an R file. Read a PLIER result first: otl.io.read_plier({str(adata)!r})."
            raise ValueError(msg)
        return kinds.from_dict(store.read_model(adata))
    if isinstance(adata, base.Model):
        return adata
    if not hasattr(adata, "uns"):
        msg = (
            f"A fitted model is an AnnData with one, a model, or the path of a model file; got {type(adata).__name__}."
        )
        raise TypeError(msg)
    check_adata(adata)
    fits = _fits(adata)
    if key is None:
        key = fit_key(adata)
    if key not in fits:
        entry = adata.uns.get(key)
        if isinstance(entry, Mapping) and entry.get("kind") == "projection":
            msg = (
                f"adata.uns[{key!r}] is a projection: its model is in the reference it came from "
                f"(digest {str(entry['reference']['digest'])[:12]}). Pass that reference."
            )
            raise KeyError(msg)
        if isinstance(entry, Mapping) and entry.get("kind") in kinds.KINDS:
            msg = f"adata.uns[{key!r}] has lost its model. {_CONCAT}."
            raise ValueError(msg)
        raise missing_key(key, "models of adata.uns", list(fits))
    return _stored(fits[key], key)


def fit_key(adata: AnnData) -> str:
    """Key of the only fit there; `KeyError` if there is none, or several."""
    fits = _fits(adata)
    if len(fits) != 1:
        raise KeyError(_which(adata, fits))
    return next(iter(fits))


def _fits(adata: AnnData) -> dict[str, Mapping[str, Any]]:
    return {name: entry for name, entry in adata.uns.items() if isinstance(entry, Mapping) and "model" in entry}


def _which(adata: AnnData, fits: Mapping[str, Any]) -> str:
    if fits:
        return f"adata.uns holds {len(fits)} models: {listed(sorted(fits))}. Say which one: key={sorted(fits)[0]!r}."
    projected = [
        name for name, entry in adata.uns.items() if isinstance(entry, Mapping) and entry.get("kind") == "projection"
    ]
    if projected:
        return (
            f"This AnnData holds a projection ({listed(sorted(map(str, projected)))}) and no fitted model: pass the reference "
            "that it was projected onto."
        )
    return (
        f"This AnnData holds no fitted model. Keys there: {listed(sorted(map(str, adata.uns))) or 'none'}. Fit one "
        "(otl.tl.plier), or pass the AnnData it was fitted on: otl.tl.project(adata, reference) takes it second. "
        f"{_CONCAT}."
    )


def _stored(entry: Mapping[str, Any], key: str) -> Model:
    tree = entry["model"]
    if not isinstance(tree, Mapping) or "kind" not in tree:
        msg = f"adata.uns[{key!r}]['model'] is no stored model. {_CONCAT}."
        raise ValueError(msg)
    if "path" in tree:
        path = Path(str(tree["path"]))
        if not path.is_file():
            msg = (
                f"The model of adata.uns[{key!r}] is kept in {str(path)!r} (seen from {str(Path.cwd())!r}), and there is no such "
                f"file. Put it back, or say where it is: adata.uns[{key!r}]['model']['path'] = '...'."
            )
            raise FileNotFoundError(msg)
        tree = store.read_model(path)
    try:
        digest = store.digest(dict(tree))
        found = kinds.from_dict(dict(tree))
    except KeyError as error:
        msg = f"The model in adata.uns[{key!r}] is incomplete: {error} is missing. {_CONCAT}."
        raise ValueError(msg) from None
    if digest != entry.get("digest"):
        msg = (
            f"The model in adata.uns[{key!r}] is not the one that was fitted (digest {digest[:12]}, noted "
            f"{str(entry.get('digest'))[:12]}). {_CONCAT}."
        )
        raise ValueError(msg)
    return found
