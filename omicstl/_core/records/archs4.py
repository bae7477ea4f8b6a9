"""ARCHS4, a compendium of public RNA-seq."""

from omicstl._core.registry import Record

RECORD = Record(
    name="archs4",
    verb="io.read_archs4",
    title="ARCHS4: public RNA-seq, aligned in one way",
    summary="Read counts of public human or mouse RNA-seq samples lazily, chosen by tissue, quality and study.",
    writes=("uns/{key}",),
    scale="counts",
    layouts=("dask",),
    transfers=("instances",),
    setting=("unsupervised", "inductive"),
    citations=("Lachmann2018",),
    paragraph=(
        "Gene counts of public RNA-seq samples came from ARCHS4 (Lachmann et al., 2018)[[, file {file}]]"
        "[[: {n_obs} of its {n_in_file} samples]][[, those that match the expression '{pattern}']]"
        "[[, without samples whose probability to be of single cells is {max_single_cell} or more]]"
        "[[, without samples of fewer than {min_reads} aligned reads]]"
        "[[, and at most {max_per_series} samples of a series (seed {seed})]]; "
        "they were read with omicstl {omicstl_version}."
    ),
)
