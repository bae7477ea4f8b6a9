"""What an assessment of scores reads: the lines and cells of the fit, the scores, and what they should not follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import listed, missing_key
from omicstl._core.random import Streams
from omicstl._data.blocks import SubsetRows
from omicstl._data.columns import read_column
from omicstl.models.assess import report
from omicstl.models.assess.decide import Check
from omicstl.models.assess.known import choice_of_adaptation, choice_of_screen, of_adaptation, of_members, of_screen
from omicstl.models.kinds import from_dict
from omicstl.models.transfer.screen import Cells, Lines
from omicstl.tl._shared import domains, screen
from omicstl.tl._shared.confounders import confounders

if TYPE_CHECKING:
    from anndata import AnnData

READ_AGAIN = ("response_key", "sensitive", "lineage_key", "study_key", "mask_obs", "layer")


def judge(
    adata: AnnData,
    reference: AnnData | None,
    key: str,
    drugs: Sequence[str] | None,
    params: Mapping[str, Any],
    random: Streams,
) -> dict[str, Any]:
    """Read both sides again as the fit did, and assess its scores."""
    entry = adata.uns[key]
    if params["kind"] == "adapt":
        return _adapted(adata, reference, key, drugs, params, random)
    if reference is None:
        msg = f"The lines that {key!r} learnt from are needed: otl.tl.assess(adata, lines, key={key!r})."
        raise ValueError(msg)
    there = [str(name) for name in entry["drugs"]]
    names = asked(drugs, there)
    used = entry["params"]
    again = {name: used.get(name) for name in READ_AGAIN}
    as_fitted = screen.Asked(
        drugs=there if again["response_key"] is None else None,
        exclude_lines=[str(name) for name in used.get("exclude_lines", ())],
        min_shared=int(used.get("min_shared", 100)),
        scale=str(used.get("scale", "auto")),
        **again,
    )
    read = screen.read(adata, reference, as_fitted)
    scores = scores_of(adata, key, there)[:, [there.index(name) for name in names]]
    novelty = adata.obs[f"{key}_novelty"].to_numpy(dtype=float) if f"{key}_novelty" in adata.obs else None
    return report.of_drugs(
        read.lines, read.target.cells, scores, names, random, params=params, mask=read.mask, level=str(params["level"]),
        confounders=confounders(adata, again["layer"], read.target.cells.totals, params["batch_key"]), extra=of_screen(entry, novelty, read.mask),
        each=members_of(adata, key, entry, read.mask), taken=choice_of_screen(entry),
    )  # fmt: skip


def members_of(adata: AnnData, key: str, entry: Mapping[str, Any], mask: np.ndarray | None) -> dict[str, list[Check]]:
    """Signs over the members of the stored fit, if it and its latent variables are still there."""
    if "model" not in entry or key not in adata.obsm:
        return {}
    return of_members(from_dict(entry["model"]), np.asarray(adata.obsm[key]), mask)


def asked(drugs: Sequence[str] | None, there: list[str]) -> list[str]:
    """Names of drugs that are wanted, checked."""
    if drugs is None:
        return there
    names = list(drugs)
    for name in names:
        if name not in there:
            raise missing_key(name, "the drugs that were predicted", there)
    if not names or len(set(names)) < len(names):
        msg = f"`drugs` must name each drug once, and at least one, got {listed(names)}."
        raise ValueError(msg)
    return names


def scores_of(adata: AnnData, key: str, drugs: Sequence[str]) -> np.ndarray:
    """Scores (m, d) that a fit has written."""
    if len(drugs) == 1 and f"{key}_score" in adata.obs:
        return adata.obs[f"{key}_score"].to_numpy(dtype=np.float64)[:, None]
    name = f"{key}_response"
    if name not in adata.obsm:
        raise missing_key(name, "adata.obsm", adata.obsm)
    return np.asarray(adata.obsm[name], dtype=np.float64)


def _adapted(
    adata: AnnData,
    reference: AnnData | None,
    key: str,
    drugs: Sequence[str] | None,
    params: Mapping[str, Any],
    random: Streams,
) -> dict[str, Any]:
    """Assess what `tl.adapt` has predicted: sources are the lines, blocks their lineages, domains their studies."""
    if reference is not None:
        msg = "`reference` is not used for an adaptation, whose domains are all in adata. Leave it out."
        raise ValueError(msg)
    entry = adata.uns[key]
    used = entry["params"]
    task = {"regression": "regression", "multilabel": "multilabel"}.get(str(entry["task"]), "classification")
    y = domains.labels(adata, str(used["label_key"]), task)
    source = _learnt_from(entry)
    where = domains.rows(adata, str(used["domain_key"]), source, str(used["target"]), y)
    expression = domains.read(adata, used.get("layer"), used.get("obsm"))
    index = np.concatenate(where.sources)
    outputs, values, scores = _outputs(adata, key, entry, y.y[index], where.target)
    block, x = used.get("block"), expression.rows.take(index)
    lines = Lines(
        x=x.astype(np.float32),
        y=values,
        drugs=np.array(outputs, dtype=object),
        binary=np.full(len(outputs), task != "regression"),
        names=np.asarray(adata.obs_names)[index].astype(object),
        lineage=None if block is None else read_column(adata, str(block)).text[index],
        study=np.repeat(np.array(where.names, dtype=object), [rows.size for rows in where.sources]),
    )
    names = asked(drugs, outputs)
    scaled = bool(x.min() < 0)
    cells = Cells(SubsetRows(expression.rows, where.target), scaled)
    genes = used.get("obsm") is None
    known = confounders(adata, used.get("layer"), None, params["batch_key"]) if genes else {}
    known = {name: value[where.target] for name, value in known.items()}
    return report.of_drugs(
        lines, cells, scores[:, [outputs.index(name) for name in names]], names, random, params=params, level=str(params["level"]),
        genes=genes, confounders=known, words=report.ADAPTED, extra=of_adaptation(entry), taken=choice_of_adaptation(entry),
    )  # fmt: skip


def _learnt_from(entry: Mapping[str, Any]) -> list[str]:
    """Sources that have a part in the predictions; all of them where these are of the target's own labels."""
    table = entry["sources"]
    names, counts = table["source"].astype(str), table["weight_used"].to_numpy(dtype=float) > 0
    return names[counts if counts.any() else slice(None)].tolist()


def _outputs(
    adata: AnnData, key: str, entry: Mapping[str, Any], y: np.ndarray, target: np.ndarray
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of what was predicted, labels of the sources (n, t) and scores of the target (m, t): one for each class from three on."""
    names = [str(name) for name in entry["outputs"]]
    if f"{key}_probability" not in adata.obsm:
        found = adata.obs[f"{key}_prediction"] if f"{key}_prediction" in adata.obs else adata.obsm[f"{key}_prediction"]
        return names, y, np.asarray(found, dtype=np.float64).reshape(adata.n_obs, -1)[target]
    probability = np.asarray(adata.obsm[f"{key}_probability"], dtype=np.float64)[target]
    if y.shape[1] == len(names):
        return names, y, probability
    of_class = np.where(np.isfinite(y), y == np.arange(len(names)), np.nan)
    return (names[1:], of_class[:, 1:], probability[:, 1:]) if len(names) == 2 else (names, of_class, probability)
