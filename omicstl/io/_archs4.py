"""Read ARCHS4: counts of public RNA-seq samples, without loading them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import listed
from omicstl._core.log import info, warn
from omicstl._core.optional import need
from omicstl._core.public import public
from omicstl._core.random import Streams, streams
from omicstl._data.blocks import block_rows

from ._archs4_choice import Choice, Rules, choose, rules
from ._archs4_file import (
    EXPRESSION,
    NUMBERS,
    CountFile,
    Layout,
    block_sizes,
    chunk_width,
    layout,
    open_file,
    read_field,
    read_numbers,
)

if TYPE_CHECKING:
    import h5py

    from omicstl._core.types import SeedLike

_KEY = "archs4"


@public
def read_archs4(
    path: str | Path,
    *,
    pattern: str | None = None,
    samples: Iterable[str] | None = None,
    max_single_cell: float | None = 0.5,
    min_reads: int | None = None,
    max_per_series: int | None = None,
    rng: SeedLike = 0,
) -> AnnData:
    r"""
    Read gene counts of ARCHS4 :cite:p:`Lachmann2018` lazily: choose samples now, read their counts when they are used.

    ARCHS4 aligns the public RNA-seq of human and mouse in one way. Its HDF5 files of gene counts are at
    https://maayanlab.cloud/archs4.

    Parameters
    ----------
    path
        The file, e.g. ``human_gene_v2.6.h5``. It must stay where it is for as long as the object is used, and be seen by
        every worker that computes.
    pattern
        Regular expression that the title, the source or the characteristics of a sample must contain; case does not
        matter. ``r"\bwhole blood\b|\bPBMCs?\b"`` for blood. `None` keeps every sample.
    samples
        GEO accessions (GSM) to keep. `None` keeps every sample.
    max_single_cell
        Samples are dropped whose probability to be of single cells, as ARCHS4 predicts it, is this or more. `None` keeps them.
    min_reads
        Samples with fewer aligned reads are dropped. `None` keeps them.
    max_per_series
        Most samples of one GEO series; a random subset is kept of larger ones. A sample that belongs to several series
        counts in each. `None` sets no limit.
    rng
        Seed of that subset.

    Returns
    -------
    Samples × genes in the order of the file. ``X`` is a dask array of whole counts in chunks of samples. ``obs`` holds the
    fields of the file that describe a sample (`series_id`, `title`, `characteristics_ch1`, ...), empty text where a value is
    missing. `var_names` are Ensembl ids, with ``var["symbol"]`` and ``var["biotype"]``; in files without them, symbols.
    ``uns["archs4"]`` holds the parameters and how many samples each rule has dropped.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no HDF5 file, is cut off, has another layout (what is missing is named) or parts of different lengths, or
        points to other files (links, external and virtual data); if no sample is left (with the count of each rule), or if
        counts are not whole numbers (told when they are read).
    TypeError
        If an option is of another type.
    ImportError
        If dask is not installed.

    Warns
    -----
    UserWarning
        If the file is too old to say what a rule asks for (single cells, reads, series), or to have unique names of genes.

    Notes
    -----
    Versions 1 and 2 are read, whichever way round they store the counts. Symbols are not unique (several Ensembl ids share
    one), so they are `var_names` of the oldest files only; ``otl.pp.map_features`` adds up the genes that share one. Rules act in the order of the options
    above, and what is known of no sample drops none. Every chunk of the array opens the file by its path, so threads, forked
    processes and dask workers can read side by side.

    Cost: the fields that describe samples are read now, one after the other; then each pass decompresses the chunks of the
    file that hold kept samples. A block has at most ``settings.block_bytes``; where the file's own chunks are wider they
    are decompressed once for each block, so raise that setting before reading.

    Examples
    --------
    >>> import h5py, omicstl as otl
    >>> with h5py.File("small.h5", "w") as file:
    ...     file["data/expression"] = np.arange(6, dtype="u4").reshape(2, 3)
    ...     file["meta/genes/ensembl_gene"] = ["ENSG00000177455", "ENSG00000198851"]
    ...     file["meta/genes/symbol"] = ["CD19", "CD3E"]
    ...     file["meta/samples/geo_accession"] = ["GSM1", "GSM2", "GSM3"]
    ...     file["meta/samples/title"] = ["Blood of a donor", "liver", "blood, day 2"]
    ...     file["meta/samples/singlecellprobability"] = [0.1, 0.1, 0.9]
    >>> adata = otl.io.read_archs4("small.h5", pattern="blood")
    >>> adata.obs_names.tolist(), adata.X.compute().tolist()
    (['GSM1'], [[0, 3]])
    """
    asked = rules(pattern, samples, max_single_cell, min_reads, max_per_series)
    random = streams(rng)
    da = need("dask.array", "dask")
    source = Path(path).expanduser().resolve()
    with open_file(source) as file:
        found = layout(file, source.name)
        chosen = choose(file, found, asked, random.generator("archs4/series"), source.name)
        obs = _obs(file, found, chosen)
        var = _var(file, found, source.name)
        width = chunk_width(file[EXPRESSION], transposed=found.transposed)
    counts = CountFile(source, found, chosen.positions)
    x = da.from_array(
        counts,
        chunks=(_blocks(counts, chosen.positions, width, source.name), (counts.shape[1],)),
        meta=np.empty((0, 0), dtype=counts.dtype),
        lock=False,
    )
    entry = _entry(source.name, found, asked, chosen, random)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Variable names are not unique")  # told by `_var`, with the way out
        return AnnData(x, obs=obs, var=var, uns={_KEY: entry})


def _blocks(counts: CountFile, positions: np.ndarray, width: int, name: str) -> tuple[int, ...]:
    most = block_rows(counts.shape[1])
    if width > most and counts.shape[0] > most:
        info(
            f"Chunks of {name!r} hold {width:,} samples and a block {most:,}: each chunk is decompressed again for every "
            f"block. With otl.settings.block_bytes = {8 * width * counts.shape[1]:,} before reading, only once."
        )
    return block_sizes(positions, width, most)


def _entry(name: str, found: Layout, asked: Rules, chosen: Choice, random: Streams) -> dict[str, Any]:
    """What is kept in ``uns``, and told."""
    params = {
        "file": name,
        "file_version": found.version,
        "pattern": None if asked.pattern is None else asked.pattern.pattern,
        "n_samples_listed": None if asked.samples is None else len(asked.samples),
        "max_single_cell": None if asked.max_single_cell is None else float(asked.max_single_cell),
        "min_reads": None if asked.min_reads is None else int(asked.min_reads),
        "max_per_series": None if asked.max_per_series is None else int(asked.max_per_series),
        "seed": None if asked.max_per_series is None else str(random.entropy),
    }
    told = ", ".join(f"{rule} {count:,}" for rule, count in chosen.dropped.items() if count)
    not_found = f"; accessions not found: {chosen.n_not_found:,}" if chosen.n_not_found else ""
    info(
        f"{name}: {len(chosen.positions):,} of {len(chosen.accessions):,} samples kept (dropped: {told or 'none'}"
        f"{not_found}); counts are read when they are used."
    )
    return {
        "kind": _KEY,
        "version": 1,
        "params": params,
        "scale": "counts",
        "n_in_file": len(chosen.accessions),
        "n_obs": len(chosen.positions),
        "n_genes": found.shape[1],
        "dropped": chosen.dropped,
        "n_not_found": chosen.n_not_found,
    }


def _obs(file: h5py.File, found: Layout, chosen: Choice) -> pd.DataFrame:
    table = {}
    for field in found.fields:
        if field in NUMBERS:
            table[field] = pd.Series(read_numbers(file, found, field)[chosen.positions])
            continue
        column = pd.Series(read_field(file, found.fields[field])[chosen.positions]).astype(str)
        few = column.nunique() * 2 <= len(column)
        table[field] = column.astype("category") if few else column
    obs = pd.DataFrame(table, index=pd.RangeIndex(len(chosen.positions)))
    return obs.set_index(pd.Index(chosen.accessions[chosen.positions].astype(str), name="geo_accession"))


def _var(file: h5py.File, found: Layout, name: str) -> pd.DataFrame:
    columns = {kind: pd.Series(read_field(file, address)).astype(str) for kind, address in found.genes.items()}
    unique = [kind for kind in ("ensembl", "symbol") if kind in columns and columns[kind].is_unique]
    chosen = unique[0] if unique else next(iter(columns))
    if not unique:
        twice = columns[chosen][columns[chosen].duplicated()].unique()
        warn(
            f"Genes of {name!r} have no unique names: {listed(twice)} occur more than once, and the file has no Ensembl ids. "
            "Add them up: otl.pp.map_features(adata, source='ensembl_id', target='gene_name')."
        )
    var = pd.DataFrame({kind: values for kind, values in columns.items() if kind != chosen})
    if "biotype" in var:
        var["biotype"] = var["biotype"].astype("category")
    var.index = pd.Index(columns[chosen], name="ensembl_id" if chosen == "ensembl" else "symbol")
    return var
