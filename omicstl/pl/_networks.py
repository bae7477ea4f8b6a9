"""What the figures of networks share: which fit they are of, and the colours of latent sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key
from omicstl._data.adata import check_adata

if TYPE_CHECKING:
    from anndata import AnnData

NETWORKS = "otl.tl.deepprofile or otl.tl.vae"


def table_of(adata: AnnData, key: str | None, slot: str, way_out: str) -> tuple[str, pd.DataFrame]:
    """Return the key of the only fit whose entry has that table, or the one asked for, and the table."""
    check_adata(adata)
    there = [
        name
        for name, entry in adata.uns.items()
        if isinstance(entry, Mapping) and isinstance(entry.get(slot), pd.DataFrame)
    ]
    if key is None and len(there) > 1:
        msg = f"adata holds {len(there)} fits with {slot}: {listed(sorted(there))}. Say which one: key={sorted(there)[0]!r}."
        raise KeyError(msg)
    if key is None and not there:
        msg = f"adata holds no fit with {slot}. Run {way_out} first."
        raise KeyError(msg)
    if key is not None and key not in there:
        if isinstance(adata.uns.get(key), Mapping):
            msg = f"adata.uns[{key!r}] (kind {adata.uns[key].get('kind')!r}) has no {slot}. Run {way_out} for one that has."
            raise KeyError(msg)
        raise missing_key(key, f"the fits of adata with {slot}", there)
    name = there[0] if key is None else key
    return str(name), adata.uns[name][slot]


def size_colours(n: int) -> list[Any]:
    """Colours of that many latent sizes, from light to dark, that colour-blind people and photocopies keep in order."""
    from matplotlib import colormaps

    return [colormaps["viridis_r"](place) for place in np.linspace(0.08, 0.95, n)] if n > 1 else ["#0072B2"]
