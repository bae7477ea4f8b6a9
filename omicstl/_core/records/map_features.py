"""Variables under other identifiers."""

from omicstl._core.registry import Record

RECORD = Record(
    name="map_features",
    verb="pp.map_features",
    title="Mapping of variables to other identifiers",
    summary="Bring gene names to those of a reference: Ensembl ids, current symbols, orthologs, or any table of pairs.",
    writes=("uns/{key}",),
    scale="any",
    layouts=("dense", "csr", "csc", "dask"),
    transfers=("features",),
    setting=("unsupervised",),
    citations=("Virshup2024",),
    paragraph=(
        "Variables were brought from '{source}' to '{target}' with omicstl {omicstl_version}"
        "[[ by {table_name}]]"
        "[[: {n_before} became {n_after}; {n_unmapped} without a partner and {n_ambiguous} with several were left out]]"
        "[[, and {n_merged} that share a name were combined ({duplicates})]]."
    ),
)
