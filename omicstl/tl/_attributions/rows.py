"""The rows that attributions are made of: what the encoders saw of them in the fit, in blocks of a given length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import listed
from omicstl._core.random import Streams
from omicstl._data import adata as reader, columns as columns_of
from omicstl._data.features import match_features
from omicstl.models.factors.attributions import Block, Network
from omicstl.models.factors.autoencoder import rows as vae_data
from omicstl.models.factors.autoencoder.likelihoods import GAUSSIAN
from omicstl.tl._shared import encoder_rows

if TYPE_CHECKING:
    from anndata import AnnData


class Rows:
    """Observations of a fit, or some of them; `columns` are the variables that are the model's genes, in its order."""

    def __init__(self, data: vae_data.Data, columns: np.ndarray, chosen: np.ndarray) -> None:
        self.columns = columns
        self.n_rows = int(chosen.sum())
        self._data, self._chosen = data, chosen

    def blocks(self, size: int) -> Iterator[Block]:
        """All chosen rows in order, `size` at a time; the last block may be shorter."""
        waiting: list[Block] = []
        low = 0
        for z in self._data.inputs():
            here = slice(low, low + len(z))
            keep = self._chosen[here]
            waiting.append(Block(z[keep], self._data.covariates[here][keep]))
            low += len(z)
            while sum(len(part.z) for part in waiting) >= size:
                whole = _joined(waiting)
                yield Block(whole.z[:size], whole.covariates[:size])
                waiting = [Block(whole.z[size:], whole.covariates[size:])]
        last = _joined(waiting)
        if len(last.z):
            yield last


def _joined(parts: list[Block]) -> Block:
    return parts[0] if len(parts) == 1 else Block(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def read(
    adata: AnnData, model: Network, params: Mapping[str, Any], layer: str | None, n_obs: int | None, random: Streams
) -> Rows:
    """Find the genes of the model, check their values, and standardise them as the fit did: over all rows, or by batch."""
    if params.get("obsm") is not None:
        msg = (
            f"This {model.kind} model was learnt from adata.obsm[{params['obsm']!r}], whose columns are no variables of adata, so "
            "there is no place for attributions. Fit the genes themselves: leave out `obsm`."
        )
        raise ValueError(msg)
    batch_key = params.get("batch_key")
    batch = None if batch_key is None else columns_of.groups(adata, batch_key, argument="batch_key").codes
    covariates = _covariates(adata, model, adata.n_obs)
    expression = reader.read(adata, layer=params.get("layer") if layer is None else layer)
    found = match_features(expression.var_names, model.features)
    if found.missing.size:
        msg = (
            f"adata lacks {found.missing.size} of the {model.features.size} genes of the model: {listed(found.missing)}. Attributions "
            "are of the data that were fitted; pass all their genes."
        )
        raise ValueError(msg)
    expression = expression.select(found.have_index)
    likelihood = params.get("likelihood", "gaussian")
    encoder_rows.check_values(expression, reader.summarise(expression), likelihood, None)
    chosen = np.ones(expression.rows.n_rows, dtype=bool)
    if n_obs is not None and n_obs < chosen.size:
        chosen[:] = False
        chosen[random.generator("observations").choice(chosen.size, n_obs, replace=False)] = True
    data = _data(model, expression, likelihood, batch, covariates)
    return Rows(data, found.have_index, chosen)


def _data(
    model: Network, expression: reader.Expression, likelihood: str, batch: np.ndarray | None, covariates: np.ndarray
) -> vae_data.Data:
    rows: Any = expression.rows
    if likelihood in GAUSSIAN and batch is not None:
        return vae_data.gaussian(rows, likelihood, model.mean, model.scale, covariates, batch)
    target = getattr(model, "target_sum", None)
    totals = None if target is None else vae_data.totals_of(rows)
    # "data" for Gaussian likelihoods are z-scores already; here the values are standardised as they are read.
    return vae_data.Data(rows, "any", model.mean, model.scale, covariates, totals, target)


def _covariates(adata: AnnData, model: Any, n: int) -> np.ndarray:
    """Covariates as the numbers that the encoder sees, (n, c)."""
    names = getattr(model, "covariates", {})
    columns = {}
    for name, levels in names.items():
        column = columns_of.complete(columns_of.read_column(adata, name))
        if not levels.size and not column.is_number:
            msg = f"{column.where} was a number in the fit and has dtype {column.dtype} now. Convert it back, e.g. with pandas.to_numeric."
            raise TypeError(msg)
        columns[name] = column.named_as(levels) if levels.size else np.asarray(column.numbers)
    return model.covariate_codes.matrix(columns, n) if columns else np.zeros((n, 0), np.float32)
