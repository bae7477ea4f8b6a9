"""What `tl.scdeal` and `tl.predict` write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.log import info
from omicstl._core.settings import settings
from omicstl._data import store
from omicstl._data.commit import Result
from omicstl.models.response.calls import CALLS

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.response.fit import ResponseFit
    from omicstl.models.response.model import ResponseModel
    from omicstl.models.response.report import Report
    from omicstl.models.transfer.screen import Lines

#: Words for `align` in parameters, plots and the methods paragraph.
WAYS = {"denoise": "denoised cells", "coral": "CORAL", "none": "no alignment"}
#: What one run may leave behind: slots and names behind the key.
_WRITTEN = {
    "obs": ("_score", "_std", "_call", "_novelty"),
    "obsm": ("_response", "_response_std", "_calls"),
    "varm": ("", "_stability"),
    "uns": ("_assessment",),
}


def scores(
    key: str, score: np.ndarray, std: np.ndarray, calls: np.ndarray | None, novelty: np.ndarray | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of obs and matrices of obsm: one drug in columns, several in matrices (m, d). Calls are codes of `CALLS`."""
    obs: dict[str, Any] = {}
    obsm: dict[str, Any] = {}
    if score.shape[1] == 1:
        obs[f"{key}_score"], obs[f"{key}_std"] = score[:, 0].astype(np.float32), std[:, 0].astype(np.float32)
        if calls is not None:
            obs[f"{key}_call"] = pd.Categorical.from_codes(calls[:, 0], list(CALLS))
    else:
        obsm[f"{key}_response"], obsm[f"{key}_response_std"] = score.astype(np.float32), std.astype(np.float32)
        if calls is not None:
            obsm[f"{key}_calls"] = calls.astype(np.int8)
    if novelty is not None:
        obs[f"{key}_novelty"] = novelty.astype(np.float32)
    return obs, obsm


def spread_out(adata: AnnData, values: np.ndarray, have: np.ndarray) -> np.ndarray:
    """Values of genes (p, d) at their places among all variables (n_vars, d), zero elsewhere."""
    out = np.zeros((adata.n_vars, values.shape[1]), np.float32)
    out[have] = np.nan_to_num(values)
    return out


def stale(adata: AnnData, key: str) -> tuple[tuple[str, str], ...]:
    """What an earlier run under the key has written, which is removed unless it is written anew."""
    there = adata.uns.get(key)
    if not isinstance(there, dict) or there.get("kind") not in ("scdeal", "prediction"):
        return ()
    return tuple(
        (slot, f"{key}{end}")
        for slot, ends in _WRITTEN.items()
        for end in ends
        if f"{key}{end}" in getattr(adata, slot)
    )


def check_leftovers(adata: AnnData, key: str) -> None:
    """Refuse to write over columns that others have made."""
    there = adata.uns.get(key)
    if isinstance(there, dict) and there.get("kind") in ("scdeal", "prediction"):
        return
    found = [
        f"{slot}[{f'{key}{end}'!r}]"
        for slot, ends in _WRITTEN.items()
        if slot != "uns"
        for end in ends
        if end and f"{key}{end}" in getattr(adata, slot)
    ]
    if found:
        msg = f"{' and '.join(found)} would be replaced and were not written by a run under the key {key!r}. Choose another `key_added`."
        raise ValueError(msg)


def check_size(p: int, k: int, d: int, b: int) -> None:
    """Refuse, before the fit, a model that is too large to travel."""
    size = 4 * (p * (2 * k + 36) + k * k + k * d * (b + 1))
    if size > settings.model_in_adata:
        msg = (
            f"The model would take {size / 2**20:.0f} MB ({p} genes, {k} components, {d} drugs, {b} members), above the "
            f"{settings.model_in_adata / 2**20:.0f} MB that may travel in an AnnData. Ask for fewer drugs, "
            "pass level=otl.tl.ResponseRidge(n_comps=100, n_members=10), or raise otl.settings.model_in_adata."
        )
        raise ValueError(msg)


def stored(model: ResponseModel) -> tuple[dict[str, Any], str]:
    """The model as data, and its digest."""
    tree = model.to_dict()
    return tree, store.digest(tree)


def result(
    adata: AnnData, key: str, obs: dict[str, Any], obsm: dict[str, Any], varm: dict[str, Any], uns: dict[str, Any]
) -> Result:
    return Result(key=key, obs=obs, obsm=obsm, varm=varm, uns=uns, drop=stale(adata, key), own=(key,))


def drugs_table(lines: Lines, fit: ResponseFit, found: Report) -> pd.DataFrame:
    """What is known of each drug's predictor without the cells, one row a drug."""
    y = lines.y
    return pd.DataFrame(
        {
            "drug": np.asarray(lines.drugs, dtype=object),
            "n_lines": np.isfinite(y).sum(axis=0),
            "n_sensitive": np.where(lines.binary, np.nansum(y, axis=0), np.nan),
            "rho_left_out": found.rho,
            "penalty": fit.penalty,
            "smoothing": fit.model.strength,
            "slope": found.calibration["slope"],
            "intercept": found.calibration["intercept"],
            "residual": found.calibration["residual"],
            "resistant_to": found.calibration["resistant_to"],
            "sensitive_from": found.calibration["sensitive_from"],
            "weights_rank_correlation": found.stability.rank_correlation,
            "weights_top_overlap": found.stability.top_overlap,
        }
    )


def selection_table(table: dict[str, np.ndarray]) -> pd.DataFrame:
    """Ways to align that were compared; empty where one was asked for."""
    return pd.DataFrame(table or {"candidate": np.zeros(0, dtype=object)})


def tell(key: str, n_drugs: int, n_genes: int, n_lines: int, level: str) -> None:
    """Say what was done."""
    info(f"{n_drugs} drug{'s' if n_drugs > 1 else ''} from {n_lines} lines on {n_genes} shared genes; {level}.")
    info(f"Written under {key!r} to obs, obsm, varm and uns.")
