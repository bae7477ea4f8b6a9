"""The layouts of ARCHS4 files, and a matrix in one of them that is read in blocks of samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from omicstl._core.checks import listed

EXPRESSION = "data/expression"
#: Fields of samples that are kept, and what older versions call them. Addresses and protocols are left in the file.
SAMPLE_FIELDS = {
    "series_id": (),
    "title": (),
    "source_name_ch1": (),
    "characteristics_ch1": (),
    "organism_ch1": (),
    "molecule_ch1": (),
    "library_source": (),
    "library_selection": (),
    "library_strategy": (),
    "platform_id": (),
    "instrument_model": (),
    "relation": (),
    "submission_date": (),
    "alignedreads": ("readsaligned", "reads_aligned"),
    "singlecellprobability": (),
}
NUMBERS = ("alignedreads", "singlecellprobability")
_GENE_FIELDS = {
    "ensembl": ("ensembl_gene", "ensembl_gene_id", "ensembl_id"),
    "symbol": ("symbol", "gene_symbol", "genes"),
    "biotype": ("biotype",),
}
_UNCHUNKED = 64  # samples that are read together where the file has no chunks
_READ_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Layout:
    """Where things are in one file."""

    shape: tuple[int, int]
    """Samples and genes."""
    transposed: bool
    """Whether the file stores samples × genes (the first versions) rather than genes × samples."""
    dtype: np.dtype
    accession: str
    fields: dict[str, str]
    """Address of each field of samples that is there, by its name in the newest version."""
    genes: dict[str, str]
    version: str


def open_file(path: Path) -> h5py.File:
    """Open a file of ARCHS4, or say what it is instead."""
    if path.is_dir():
        msg = f"{str(path)!r} is a folder; the HDF5 file of ARCHS4 is needed, e.g. human_gene_v2.6.h5."
        raise ValueError(msg)
    if not path.exists():
        msg = (
            f"There is no file {str(path)!r}. The files are at https://maayanlab.cloud/archs4, e.g. human_gene_v2.6.h5."
        )
        raise FileNotFoundError(msg)
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            start = file.read(24)
        msg = (
            f"{str(path)!r} is no HDF5 file; it starts with {start!r}. Pass the .h5 file of ARCHS4 itself, unpacked; if "
            "the download ended early or saved a web page, repeat it."
        )
        raise ValueError(msg)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        msg = f"{str(path)!r} cannot be opened ({error}). It is damaged or the download ended early: repeat it."
        raise ValueError(msg) from error


def layout(file: h5py.File, name: str) -> Layout:
    """Find the parts of an open file, whichever version wrote it; `ValueError` names what is missing."""
    if "meta/transcripts" in file:
        msg = f"{name!r} holds transcripts. Use the file of gene counts, e.g. human_gene_v2.6.h5."
        raise ValueError(msg)
    samples = "meta/samples/" if isinstance(file.get("meta/samples"), h5py.Group) else "meta/Sample_"
    accession = samples + "geo_accession"
    genes = _genes(file)
    there = {
        EXPRESSION: _is_dataset(file, EXPRESSION),
        "meta/genes (symbol or ensembl_gene)": "symbol" in genes or "ensembl" in genes,
        "meta/samples/geo_accession": _is_dataset(file, accession),
    }
    missing = [what for what, found in there.items() if not found]
    if missing:
        hint = " It looks like an AnnData: use anndata.read_h5ad." if {"obs", "var"} <= set(file) else ""
        msg = (
            f"{name!r} is no file of ARCHS4 gene counts: {listed(missing)} are missing; it holds {listed(sorted(file))}."
            f"{hint}"
        )
        raise ValueError(msg)
    fields = {}
    for field, older in SAMPLE_FIELDS.items():
        found = next((samples + n for n in (field, *older) if _is_dataset(file, samples + n)), None)
        if found is not None:
            fields[field] = found
    shape, transposed = _orientation(file, name, accession, fields, genes, old=samples != "meta/samples/")
    dtype = file[EXPRESSION].dtype
    if dtype.kind not in "iuf":
        msg = f"{EXPRESSION} of {name!r} has dtype {dtype}; counts are needed."
        raise ValueError(msg)
    return Layout(shape, transposed, dtype, accession, fields, genes, _version(file))


def _is_dataset(file: h5py.File, address: str) -> bool:
    """Tell whether there is data at an address; `ValueError` if they are kept in other files of this machine."""
    try:
        found = file.get(address)
    except (OSError, RuntimeError):  # a link that leads nowhere, or to itself
        return False
    if not isinstance(found, h5py.Dataset):
        return False
    if found.external or found.is_virtual or found.file.filename != file.filename:
        msg = f"{address} of {file.filename!r} points to another file, which is not followed. Download the file of ARCHS4 again."
        raise ValueError(msg)
    return True


def _genes(file: h5py.File) -> dict[str, str]:
    if _is_dataset(file, "meta/genes"):
        return {"symbol": "meta/genes"}
    found = {}
    for kind, names in _GENE_FIELDS.items():
        there = [address for name in names if _is_dataset(file, address := f"meta/genes/{name}")]
        if there:
            found[kind] = there[0]
    return found


def _orientation(
    file: h5py.File, name: str, accession: str, fields: dict[str, str], genes: dict[str, str], *, old: bool
) -> tuple[tuple[int, int], bool]:
    n_samples, n_genes = ((file[address].shape or (0,))[0] for address in (accession, next(iter(genes.values()))))
    lengths = {address: (file[address].shape, n_samples) for address in (accession, *fields.values())}
    lengths |= {address: (file[address].shape, n_genes) for address in genes.values()}
    wrong = [f"{address} {shape}" for address, (shape, length) in lengths.items() if shape != (length,)]
    shape = file[EXPRESSION].shape
    if wrong or shape not in {(n_genes, n_samples), (n_samples, n_genes)}:
        msg = (
            f"Lengths in {name!r} disagree: {EXPRESSION} {shape}, {n_genes:,} genes, {n_samples:,} samples"
            f"{'; ' + ', '.join(wrong) if wrong else ''}. The file is damaged or was changed: download it again."
        )
        raise ValueError(msg)
    square = n_genes == n_samples
    return (n_samples, n_genes), old if square else shape == (n_samples, n_genes)


def _version(file: h5py.File) -> str:
    if not _is_dataset(file, "meta/info/version") or file["meta/info/version"].shape != ():
        return ""
    value = file["meta/info/version"][()]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def read_field(file: h5py.File, address: str) -> np.ndarray:
    """Read a field as text (a plain array of str) or as it is stored, if it holds numbers."""
    data = file[address]
    if h5py.check_string_dtype(data.dtype) is None:
        if data.dtype.kind not in "biuf":
            msg = f"{address} of {file.filename!r} holds neither text nor numbers (dtype {data.dtype})."
            raise ValueError(msg)
        return np.asarray(data[...])
    return np.array([str(value) for value in data.asstr(errors="replace")[...]], dtype=object)


def read_numbers(file: h5py.File, found: Layout, field: str) -> np.ndarray:
    """Read a field of numbers, which older versions store as text; NaN where there is none."""
    values = pd.to_numeric(pd.Series(read_field(file, found.fields[field])), errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


class CountFile:
    """Samples × genes of a file, sliced like an array; each call opens the file, so that processes and threads may share it."""

    ndim = 2

    def __init__(self, path: Path, found: Layout, positions: np.ndarray) -> None:
        self._path = str(path)
        self._transposed = found.transposed
        self._positions = positions
        stat = path.stat()
        self._state = (stat.st_size, stat.st_mtime_ns)
        self._whole = found.dtype.kind in "iu"
        self.dtype = np.dtype(found.dtype if self._whole else np.int64)
        self.shape = (len(positions), found.shape[1])

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (self._path, self._state, self._transposed, self._positions.tobytes())

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        wanted = self._positions[rows]
        order = np.argsort(wanted, kind="stable")
        with h5py.File(self._path, "r") as file:
            data = file[EXPRESSION]
            block = np.empty((len(wanted), self.shape[1]), dtype=data.dtype)
            width = chunk_width(data, transposed=self._transposed)
            apart = np.flatnonzero(np.diff(wanted[order] // width) > 1) + 1  # chunks that nobody wants lie between
            for here in np.split(order, apart):
                if here.size:
                    self._fill(block, here, wanted[here], data)
        return self._counts(block, wanted)[:, columns]

    def _fill(self, block: np.ndarray, here: np.ndarray, wanted: np.ndarray, data: h5py.Dataset) -> None:
        """Read the range of samples that holds the sorted `wanted`, some genes at a time so that no read is large."""
        first, last = int(wanted[0]), int(wanted[-1]) + 1
        step = data.chunks[1 if self._transposed else 0] if data.chunks else 1
        genes = max(step, _READ_BYTES // ((last - first) * data.dtype.itemsize) // step * step)
        for start in range(0, self.shape[1], genes):
            some = slice(start, min(start + genes, self.shape[1]))
            read = data[first:last, some] if self._transposed else data[some, first:last].T
            block[here, some] = read[wanted - first]

    def _counts(self, block: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        if not self._whole:
            if not (np.array_equal(block, np.rint(block)) and np.all(np.abs(block) < 2**63)):  # NaN is no count either
                msg = (
                    f"{Path(self._path).name!r} holds numbers that are no whole counts (among samples {wanted.min()} to "
                    f"{wanted.max()} of the file); ARCHS4 gene counts are needed."
                )
                raise ValueError(msg)
            block = block.astype(self.dtype)
        if block.dtype.kind == "i" and block.size and block.min() < 0:
            msg = f"{Path(self._path).name!r} holds negative numbers; ARCHS4 gene counts are needed."
            raise ValueError(msg)
        return block


def chunk_width(data: h5py.Dataset, *, transposed: bool) -> int:
    """Return how many samples a chunk of the file holds."""
    return int(data.chunks[0 if transposed else 1]) if data.chunks else _UNCHUNKED


def block_sizes(positions: np.ndarray, width: int, most: int) -> tuple[int, ...]:
    """Cut sorted positions into blocks of whole chunks of the file, of at most `most` samples where chunks are smaller."""
    edges = [0]
    starts = [0, *(np.flatnonzero(np.diff(positions // width)) + 1).tolist(), len(positions)]
    for begin, end in zip(starts[:-1], starts[1:], strict=True):
        if end - edges[-1] > most and begin > edges[-1]:
            edges.append(begin)
        while end - edges[-1] > most:
            edges.append(edges[-1] + most)
    if edges[-1] < len(positions):
        edges.append(len(positions))
    return tuple(int(size) for size in np.diff(edges))
