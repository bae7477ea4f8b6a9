"""The other drugs of a screen, for the check against general sensitivity where one drug alone was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicstl._data.tables import read_table
from omicstl.models.transfer.screen import Lines
from omicstl.tl._shared import response
from omicstl.tl._shared.screen import Asked

if TYPE_CHECKING:
    from anndata import AnnData


def with_whole_table(lines: Lines, adata: AnnData, reference: AnnData, asked: Asked) -> Lines:
    """
    The same lines with every drug of the table that can be read, the drugs of `lines` first and as they are.

    A column that cannot be read is left out: it was not asked for. Without a table there are no other drugs.
    """
    response_key, sensitive = asked.response_key, asked.sensitive
    names = pd.Index(np.asarray(reference.obs_names).astype(str))
    if response_key is None or response_key not in reference.obsm or not names.is_unique:
        return lines
    rows = names.get_indexer(np.asarray(lines.names).astype(str))
    known = {str(name) for name in lines.drugs}
    others = [name for name in read_table(reference, response_key, name="reference").names if name not in known]
    try:
        found = [response.read(adata, reference, others, response_key, sensitive, doubt=False)] if others else []
    except (KeyError, TypeError, ValueError):
        found = []
        for name in others:
            try:
                found.append(response.read(adata, reference, [name], response_key, sensitive, doubt=False))
            except (KeyError, TypeError, ValueError):
                continue
    if not found:
        return lines
    y = np.hstack([one.y for one in found])[rows]
    use = np.flatnonzero(np.isfinite(y).sum(axis=0) >= response.FEWEST)
    drugs = np.concatenate([one.drugs for one in found])[use]
    binary = np.concatenate([one.binary for one in found])[use]
    return lines._replace(
        y=np.hstack([lines.y, y[:, use]]),
        drugs=np.concatenate([np.asarray(lines.drugs, dtype=object), drugs]),
        binary=np.concatenate([np.asarray(lines.binary, bool), binary]),
    )
