"""Matching of feature names, and what to say when nothing matches. Names are matched exactly, never by part."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLE = 2000
CHANCE = 0.05  # share of wanted names that names of another kind or species may share by chance
_PATTERNS = {
    "ensembl": re.compile(r"ENS[A-Z]{0,6}G\d{11}"),
    "ensembl_versioned": re.compile(r"ENS[A-Z]{0,6}G\d{11}\.\d+(_PAR_Y)?"),
    "entrez": re.compile(r"\d+(\.0)?"),
    "probe": re.compile(r"\S+_at|ILMN_\d+|A_\d+_P\d+|(cg|ch)[\d.]{6,}\S*|TC\d{8,}\S*", re.IGNORECASE),
    "symbol": re.compile(r"(?!ENS[A-Z]{0,6}[GTP]\d{11})[A-Za-z][A-Za-z0-9.\-_@/]*"),
}
_WORDS = {
    "symbol": "gene symbols",
    "ensembl": "Ensembl gene ids",
    "ensembl_versioned": "Ensembl gene ids with a version",
    "entrez": "Entrez gene numbers",
    "probe": "array probe ids",
    "unknown": "names of an unknown kind",
}
_ENSEMBL_SPECIES = {"ENSG": "human", "ENSMUSG": "mouse", "ENSRNOG": "rat", "ENSDARG": "zebrafish", "ENSMMUG": "macaque"}


class FeatureMatch(NamedTuple):
    """Where the wanted features lie: ``have[have_index]`` equals ``want[want_index]``, in the order of `want`."""

    have_index: np.ndarray
    want_index: np.ndarray
    missing: np.ndarray


def name_array(names: Sequence[str] | np.ndarray | pd.Index) -> np.ndarray:
    """Return names as a numpy array of strings."""
    return np.asarray(names if isinstance(names, np.ndarray) else list(names), dtype=str)


def match_features(have: Sequence[str] | np.ndarray, want: Sequence[str] | np.ndarray) -> FeatureMatch:
    """
    Find wanted features by their exact names.

    Parameters
    ----------
    have
        Names that the data have; unique.
    want
        Names to look for; unique.

    Returns
    -------
    Positions of the shared names in `have` and in `want`, in the order of `want`, and the wanted names not found.

    Raises
    ------
    ValueError
        If a name occurs twice on either side, because the match would not be defined.

    Notes
    -----
    One hash lookup for each wanted name. An empty match is returned, not refused: see :func:`no_overlap_message`.

    Examples
    --------
    >>> match_features(["CD19", "CD3E", "PTPRC"], ["PTPRC", "PTPRCAP", "CD19"]).missing.tolist()
    ['PTPRCAP']
    """
    have_names, want_names = name_array(have), name_array(want)
    have_table, want_table = pd.Index(have_names), pd.Index(want_names)
    for table, label in ((have_table, "given"), (want_table, "wanted")):
        if not table.is_unique:
            twice = list(dict.fromkeys(table[table.duplicated()]))
            msg = f"The {label} feature names must be unique, got {listed(twice)} more than once. Keep one row of each."
            raise ValueError(msg)
    position = np.asarray(have_table.get_indexer(want_table), dtype=np.intp)
    found = position >= 0
    return FeatureMatch(position[found], np.flatnonzero(found), want_names[~found])


def _sample(names: Sequence[str] | np.ndarray) -> list[str]:
    """Return at most `_SAMPLE` names, evenly spread."""
    step = max(1, -(-len(names) // _SAMPLE))
    return [str(name) for name in names[::step]]


def identifier_kind(names: Sequence[str] | np.ndarray) -> str:
    """
    Guess what kind of identifiers the names are.

    Parameters
    ----------
    names
        Feature names.

    Returns
    -------
    ``"symbol"``, ``"ensembl"``, ``"ensembl_versioned"``, ``"entrez"``, ``"probe"`` or ``"unknown"``: the kind of more
    than half of the names.

    Notes
    -----
    At most 2,000 names are looked at, evenly spread.

    Examples
    --------
    >>> identifier_kind(["ENSG00000081237.21", "ENSG00000177455.15"])
    'ensembl_versioned'
    """
    sample = _sample(names)
    kinds = Counter(next((k for k, p in _PATTERNS.items() if p.fullmatch(name)), "unknown") for name in sample)
    kind, count = kinds.most_common(1)[0] if kinds else ("unknown", 0)
    return kind if 2 * count > len(sample) else "unknown"


def species_hint(names: Sequence[str] | np.ndarray) -> str:
    """
    Guess the species from Ensembl prefixes, or from the capitals of gene symbols.

    Parameters
    ----------
    names
        Feature names.

    Returns
    -------
    ``"human"``, ``"mouse"``, ``"rat"``, ``"zebrafish"``, ``"macaque"`` or ``""`` where the names do not tell.
    Symbols such as ``Cd3e`` (a capital, then small letters) count as mouse, though rat symbols look the same.

    Examples
    --------
    >>> species_hint(["Cd3e", "Ptprc", "Ms4a1"]), species_hint(["CD3E", "PTPRC"]), species_hint(["1", "2"])
    ('mouse', 'human', '')
    """
    kind, sample = identifier_kind(names), _sample(names)
    if kind.startswith("ensembl"):
        prefixes = Counter(re.match(r"[A-Z]*", name).group() for name in sample)  # type: ignore[union-attr]
        return _ENSEMBL_SPECIES.get(prefixes.most_common(1)[0][0], "")
    if kind == "symbol":
        if 2 * sum(name.upper() == name or "orf" in name for name in sample) > len(sample):
            return "human"
        if 2 * sum(name[0].isupper() and name[1:] == name[1:].lower() for name in sample) > len(sample):
            return "mouse"
    return ""


def described(names: np.ndarray) -> str:
    """Return the kind of the names in words, with the first three."""
    kind, species = identifier_kind(names), species_hint(names)
    return f"{species + ' ' if species else ''}{_WORDS[kind]} such as {', '.join(repr(str(n)) for n in names[:3])}"


def _column(names: np.ndarray) -> str:
    """A name for the column of a table that holds such names, like "mouse_ensembl"."""
    return f"{species_hint(names)}_{'symbol' if identifier_kind(names) == 'symbol' else 'ensembl'}"


def _way_out(have: np.ndarray, want: np.ndarray, have_label: str) -> str:
    kinds = {identifier_kind(have), identifier_kind(want)}
    species = {species_hint(have), species_hint(want)} - {""}
    if have.tolist() == [str(i) for i in range(len(have))]:
        return f"{have_label} are only row numbers: set them to the gene names that the data came with."
    if "probe" in kinds:
        return (
            "Map probes to genes with the platform's annotation, and keep one probe for each gene: otl.pp.map_features("
            "adata, table, source='<column of probes>', target='<column of genes>', duplicates='largest')."
        )
    if "entrez" in kinds:
        return (
            "Map Entrez numbers to the other names with a table of both, for example from biomaRt or mygene: "
            "otl.pp.map_features(adata, table, source='<column of numbers>', target='<column of names>')."
        )
    if len(species) == 2:
        return (
            "Map the genes of one species to their orthologs in the other with a table of both: "
            f"otl.pp.map_features(adata, table, source={_column(have)!r}, target={_column(want)!r})."
        )
    if kinds == {"ensembl", "ensembl_versioned"} or kinds == {"ensembl_versioned"}:
        return "Cut the versions off, for example adata.var_names = adata.var_names.str.split('.').str[0]."
    if "symbol" in kinds and kinds & {"ensembl", "ensembl_versioned"}:
        cut = "Cut the versions off and map the ids" if "ensembl_versioned" in kinds else "Map one to the other"
        if species <= {"human"}:
            return f"{cut}: otl.pp.map_features(adata) does it with the 40,247 human pairs of otl.datasets.gene_identifiers()."
        return f"{cut} with a table of both: otl.pp.map_features(adata, table, source='<column>', target='<column>')."
    if len(set(np.char.upper(have)) & set(np.char.upper(want))) > len(set(have) & set(want)):
        return "Some agree when upper and lower case are ignored: write both in the same way."
    return (
        "Bring both to the same identifiers first, with a table of both: "
        "otl.pp.map_features(adata, table, source='<column>', target='<column>')."
    )


def no_overlap_message(
    have: Sequence[str] | np.ndarray,
    want: Sequence[str] | np.ndarray,
    have_label: str,
    want_label: str,
    n_shared: int = 0,
) -> str:
    """
    Say that no name is shared, or only few are, which kinds of names they seem to be, and the way out.

    Parameters
    ----------
    have, want
        Names of the two sides.
    have_label, want_label
        How the two sides are called in the message.
    n_shared
        Number of names that are shared nevertheless.

    Returns
    -------
    One paragraph for an error.

    Examples
    --------
    >>> print(no_overlap_message(["ENSG00000081237"], ["PTPRC"], "adata.var_names", "gene_sets"))
    No gene is shared by adata.var_names (human Ensembl gene ids such as 'ENSG00000081237') and gene_sets (human gene \
symbols such as 'PTPRC'). Map one to the other: otl.pp.map_features(adata) does it with the 40,247 human pairs of \
otl.datasets.gene_identifiers().
    """
    have_names, want_names = name_array(have), name_array(want)
    few = "No gene is" if not n_shared else f"Only {n_shared} of {len(want_names)} genes are"
    return (
        f"{few} shared by {have_label} ({described(have_names)}) and {want_label} ({described(want_names)}). "
        f"{_way_out(have_names, want_names, have_label)}"
    )


def check_overlap(found: FeatureMatch, have: np.ndarray, want: np.ndarray, have_label: str, want_label: str) -> None:
    """Refuse a match without a gene, or with so few of another kind or species that they agree by chance."""
    n_shared = int(found.have_index.size)
    if n_shared >= CHANCE * len(want):
        return
    other = identifier_kind(have) != identifier_kind(want) or species_hint(have) != species_hint(want)
    if not n_shared or other:
        raise ValueError(no_overlap_message(have, want, have_label, want_label, n_shared))
