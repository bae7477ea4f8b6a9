"""Read a download of refine.bio."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_choice, listed, near_miss
from omicstl._core.log import ScaleWarning, info, progress, warn
from omicstl._core.public import public

from ._refinebio_folder import Table, Values, description, read_metadata, read_values, tables

_KEY = "refinebio"
_LOG_HIGHEST = 100.0  # of a logarithm of expression


@public
def read_refinebio(
    path: str | Path,
    *,
    samples: Iterable[str] | None = None,
    organism: str | None = None,
    join: str = "inner",
    annotations: bool = True,
) -> AnnData:
    r"""
    Read a download of refine.bio :cite:p:`Greene2019`: experiments, a species, or a normalized compendium.

    https://www.refine.bio processes public arrays and RNA-seq in one way, by Ensembl gene.

    Parameters
    ----------
    path
        The unpacked folder, with ``aggregated_metadata.json`` and a folder for each experiment or species, such as
        ``GSE11111/GSE11111.tsv`` and ``GSE11111/metadata_GSE11111.tsv``.
    samples
        Accessions of the samples to read, e.g. chosen from the metadata of a compendium. `None` reads all.
    organism
        Species to read, e.g. ``"Homo sapiens"``, where a download holds several.
    join
        ``"inner"`` keeps the genes that all tables have, ``"outer"`` all genes, with NaN where a table lacks one.
    annotations
        Whether ``obs`` gets the submitters' own columns beside those that refine.bio has harmonised. The metadata of a
        species compendium has thousands of such columns: use False there, unless you name `samples`.

    Returns
    -------
    Samples × genes, the values as they are, float32. `var_names` are Ensembl ids. ``obs`` holds the metadata as text, empty
    where a value is missing (`refinebio_age` as numbers), and `experiment_accession`. ``uns["refinebio"]`` holds how the
    portal has transformed the values (`aggregate_by`, `scale_by`, `quantile_normalized`), and ``experiments``, a table of the
    samples and genes of each part, the genes that the join has lost, and the largest value.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it is a file (a zip: unpack it), holds no tables, lacks one of a pair, is damaged, mixes species without
        `organism`, shares no gene, gives one sample different values in two experiments, or has no sample of those named.
    TypeError
        If an option is of another type.

    Warns
    -----
    ScaleWarning
        If the portal has scaled the genes, or some experiments are on a logarithmic scale and others not.
    UserWarning
        If the join loses more than half of the genes.

    Notes
    -----
    Aggregated by species, and in compendia, RNA-seq is log2(x + 1); aggregated by experiment and without quantile
    normalisation it is on the scale of counts (length-scaled TPM) while arrays are on log2. The largest value of each part
    (above 100 is no logarithm) is therefore looked at. A sample that several experiments share is kept once if its values
    agree. Cost: the whole text is parsed, and the values of the chosen samples are held twice for a moment (8 bytes a
    value), so a whole species compendium needs `samples` or a large machine.

    Examples
    --------
    >>> import json, pathlib, omicstl as otl
    >>> folder = pathlib.Path("download/GSE1")
    >>> folder.mkdir(parents=True)
    >>> _ = (folder / "GSE1.tsv").write_text("Gene\tGSM1\tGSM2\nENSG00000177455\t1.5\t2.5\n")
    >>> rows = "refinebio_accession_code\trefinebio_sex\nGSM1\tfemale\nGSM2\tmale\n"
    >>> _ = (folder / "metadata_GSE1.tsv").write_text(rows)
    >>> adata = otl.io.read_refinebio("download")
    >>> adata.obs["refinebio_sex"].tolist(), adata.X.tolist()
    (['female', 'male'], [[1.5], [2.5]])
    """
    check_choice("join", join, ("inner", "outer"))
    wanted = _wanted(samples)
    folder = _folder(path)
    about = description(folder)
    found, empty = tables(folder)

    described = {table: read_metadata(table, wanted, annotations=annotations) for table in found}
    described = {table: rows for table, rows in described.items() if len(rows)}
    if not described:
        first = "" if wanted is None else f" {listed(sorted(wanted))} are not in the metadata."
        msg = f"No sample of {str(folder)!r} is left.{first} Accessions are in the column 'refinebio_accession_code'."
        raise ValueError(msg)
    described = _of_one_species(described, organism)

    parts = {}
    with progress(len(described), "tables") as bar:
        for table in described:
            parts[table] = read_values(table, wanted)
            bar.update()
    kept, obs, repeated, undescribed = _samples(described, parts)
    genes, lost = _genes(parts, join)
    x = _matrix(kept, parts, genes, join)
    experiments = _overview(parts, kept, lost)
    params = {
        "join": join,
        "organism": organism,
        "annotations": bool(annotations),
        "n_samples_listed": None if wanted is None else len(wanted),
    }
    entry = {
        "kind": _KEY,
        "version": 1,
        "params": params,
        "experiments": experiments,
        "n_experiments": int(obs["experiment_accession"].nunique()),
        "n_obs": len(obs),
        "n_genes": len(genes),
        "n_genes_lost": int(len(lost["all"])),
        "n_repeated": repeated,
        "n_without_values": undescribed,
        **_transformation(about),
    }
    _tell(entry, experiments, empty, folder.name)
    return AnnData(x, obs=obs, var=pd.DataFrame(index=pd.Index(genes, name="ensembl_id")), uns={_KEY: entry})


def _wanted(samples: Iterable[str] | None) -> set[str] | None:
    if samples is None:
        return None
    names = list(samples)
    if not names or not all(isinstance(name, str) for name in names):
        msg = f"`samples` must hold at least one accession such as 'GSM1158284', and text alone, got {listed(names)}."
        raise (TypeError if names else ValueError)(msg)
    return set(names)


def _folder(path: str | Path) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if not folder.exists():
        msg = f"There is no folder {str(folder)!r}."
        raise FileNotFoundError(msg)
    way_out = "Unpack it first (unzip), and pass the folder" if folder.suffix == ".zip" else "Pass the unpacked folder"
    msg = f"{str(folder)!r} is a file. {way_out} that holds aggregated_metadata.json."
    raise ValueError(msg)


def _plain(name: object) -> str:
    return str(name).replace("_", " ").strip().lower()


def _of_one_species(described: dict[Table, pd.DataFrame], organism: str | None) -> dict[Table, pd.DataFrame]:
    species = {}
    for table, rows in described.items():
        names = rows["refinebio_organism"].map(_plain) if "refinebio_organism" in rows else pd.Series(dtype=str)
        names = names[names != ""]
        species[table] = str(names.mode().iloc[0]) if len(names) else ""
    there = sorted({name for name in species.values() if name})
    if organism is not None:
        if _plain(organism) not in there:
            msg = f"`organism` {organism!r} is not in the download, which holds {listed(there)}.{near_miss(_plain(organism), there)}"
            raise ValueError(msg)
        return {table: rows for table, rows in described.items() if species[table] == _plain(organism)}
    if len(there) > 1:
        examples = [f"{name} ({next(t.name for t, s in species.items() if s == name)})" for name in there]
        msg = f"The download mixes species: {', '.join(examples)}. Choose one, e.g. organism={there[0]!r}."
        raise ValueError(msg)
    return described


def _samples(
    described: dict[Table, pd.DataFrame], parts: dict[Table, Values]
) -> tuple[dict[Table, np.ndarray], pd.DataFrame, int, int]:
    """Choose the columns of each table: once each, with their descriptions."""
    first: dict[str, tuple[Table, int]] = {}
    kept, frames = {}, []
    repeated = without = 0
    for table, rows in described.items():
        part = parts[table]
        unknown = [name for name in part.samples if name not in rows.index]
        if unknown:
            msg = f"{str(table.metadata)!r} does not describe {listed(unknown)} of {table.expression.name}. Unpack the download again."
            raise ValueError(msg)
        without += len(rows) - len(part.samples)
        columns = []
        for column, name in enumerate(part.samples):
            if name in first:
                _check_same(name, first[name], (table, column), parts)
                repeated += 1
            else:
                first[name] = (table, column)
                columns.append(column)
        kept[table] = np.array(columns, dtype=np.intp)
        mine = rows.loc[[part.samples[i] for i in columns]]
        if "experiment_accession" not in mine or (mine["experiment_accession"] == "").all():
            mine = mine.assign(experiment_accession=table.name)
        frames.append(mine)
    obs = pd.concat(frames)
    if obs.empty:
        msg = "No sample is left: the tables hold none of those that the metadata describe."
        raise ValueError(msg)
    return kept, _tidy(obs), repeated, without


def _check_same(name: str, one: tuple[Table, int], two: tuple[Table, int], parts: dict[Table, Values]) -> None:
    series = [
        pd.Series(parts[table].values[:, column], index=parts[table].genes, dtype=np.float32)
        for table, column in (one, two)
    ]
    a, b = series[0].align(series[1], join="inner")
    if not np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True):
        msg = (
            f"Sample {name!r} is in {one[0].name} and in {two[0].name} with different values, because each experiment was "
            "processed by itself. Remove the folder of one of them, or download the experiments aggregated by species."
        )
        raise ValueError(msg)


def _tidy(obs: pd.DataFrame) -> pd.DataFrame:
    """Text columns with empty text for missing values, and names that files can hold."""
    names = [str(name).replace("/", "_") for name in obs.columns]
    for i, name in enumerate(names):
        name = f"_{name}" if name in ("", ".", "..", "_index") else name
        while name in names[:i]:
            name += "_"
        names[i] = name
    tidy = (
        obs.set_axis(names, axis=1).fillna("").astype(str).apply(lambda text: text.str.replace("\0", "", regex=False))
    )
    tidy = tidy.loc[:, [name for name in names if name == "experiment_accession" or (tidy[name] != "").any()]]
    for name in list(tidy.columns):
        if name == "refinebio_age":
            tidy[name] = pd.to_numeric(tidy[name], errors="coerce").astype(np.float64)
        elif tidy[name].nunique() * 2 <= len(tidy):
            tidy[name] = tidy[name].astype("category")
    tidy.index = pd.Index(tidy.index.astype(str), name="refinebio_accession_code")
    return tidy


def _genes(parts: dict[Table, Values], join: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the genes of the join in the order of the first table, and what each table loses."""
    names = [pd.Index(part.genes) for part in parts.values()]
    shared = every = names[0]
    for more in names[1:]:
        shared = shared[shared.isin(more)]
        every = every.append(more[~more.isin(every)])
    if not len(shared) and join == "inner":
        first, last = list(parts)[0], list(parts)[-1]
        msg = (
            f"The tables share no gene: {first.name} has {listed(parts[first].genes[:2])}, {last.name} has "
            f"{listed(parts[last].genes[:2])}. Are all of one species?"
        )
        raise ValueError(msg)
    chosen = shared if join == "inner" else every
    lost = {table.name: np.asarray(index[~index.isin(chosen)]) for table, index in zip(parts, names, strict=True)}
    return np.asarray(chosen, dtype=object), lost | {"all": np.asarray(every[~every.isin(chosen)])}


def _matrix(kept: dict[Table, np.ndarray], parts: dict[Table, Values], genes: np.ndarray, join: str) -> np.ndarray:
    x = np.empty((sum(len(columns) for columns in kept.values()), len(genes)), dtype=np.float32)
    start = 0
    for table, columns in kept.items():
        part = parts[table]
        rows = pd.Index(part.genes).get_indexer(genes)
        block = x[start : start + len(columns)]
        block[:] = part.values[:, columns][rows].T
        if join == "outer":
            block[:, rows < 0] = np.nan
        start += len(columns)
    return x


def _overview(parts: dict[Table, Values], kept: dict[Table, np.ndarray], lost: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = []
    for table, part in parts.items():
        high = float(np.nanmax(part.values)) if np.isfinite(part.values).any() else np.nan
        rows.append(
            (
                table.name,
                len(kept[table]),
                len(part.genes),
                len(lost[table.name]),
                high,
                int(np.isnan(part.values).sum()),
            )
        )
    return pd.DataFrame(rows, columns=["name", "n_samples", "n_genes", "n_genes_lost", "highest", "n_missing"])


def _transformation(about: dict[str, Any]) -> dict[str, Any]:
    """What the portal says of the values, as far as it says it."""
    found = {}
    for name in ("aggregate_by", "scale_by"):
        value = about.get(name)
        found[name] = value if isinstance(value, str) else None
    normalized = about.get("quantile_normalized")
    return found | {"quantile_normalized": normalized if isinstance(normalized, bool) else None}


def _tell(entry: dict[str, Any], experiments: pd.DataFrame, empty: list[str], name: str) -> None:
    logarithmic = experiments["highest"] <= _LOG_HIGHEST
    entry["scale"] = "log" if logarithmic.all() else "mixed" if logarithmic.any() else "linear"
    scaled = entry["scale_by"]
    if scaled not in (None, "NONE"):
        entry["scale"] = "scaled"
        warn(
            f"The genes of {name!r} were scaled by the portal (scale_by {scaled!r}): their mean and spread are lost to a "
            "reference. Download the data with the transformation 'None'.",
            ScaleWarning,
        )
    elif entry["scale"] == "mixed":
        linear = experiments["name"][~logarithmic].tolist()
        warn(
            f"Parts of {name!r} are on different scales: {listed(linear)} hold values above 100 and no logarithm, the others "
            "do. Download RNA-seq with quantile normalisation or aggregated by species, or read these experiments apart "
            "(`samples`).",
            ScaleWarning,
        )
    whole = entry["n_genes"] + entry["n_genes_lost"]
    if 2 * entry["n_genes_lost"] > whole:
        worst = experiments.sort_values("n_genes").iloc[0]
        warn(
            f"{entry['n_genes_lost']:,} of {whole:,} genes are not in all tables and are lost; {worst['name']!r} has "
            f"{worst['n_genes']:,}. Leave such tables out, or use join='outer' and drop genes with missing values yourself."
        )
    told = [
        f"{entry['n_repeated']:,} samples in several experiments kept once" if entry["n_repeated"] else "",
        f"{entry['n_without_values']:,} described samples have no values" if entry["n_without_values"] else "",
        f"experiments without samples: {listed(empty)}" if empty else "",
    ]
    info(
        f"{name}: {entry['n_obs']:,} samples of {entry['n_experiments']:,} experiments, {entry['n_genes']:,} genes "
        f"({entry['n_genes_lost']:,} lost by the join), scale {entry['scale']}. {'; '.join(t for t in told if t)}"
    )
