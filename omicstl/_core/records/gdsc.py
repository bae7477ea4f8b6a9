"""GDSC, a drug screen of cell lines."""

from omicstl._core.registry import Record

RECORD = Record(
    name="gdsc",
    verb="io.read_gdsc",
    title="GDSC: drugs screened in cell lines",
    summary="Read the fitted dose responses of GDSC as cell lines by drugs.",
    writes=("uns/{key}",),
    scale="any",
    layouts=("dense",),
    transfers=("instances",),
    setting=("unsupervised", "inductive"),
    citations=("Yang2013",),
    paragraph=(
        "Drug response of cell lines came from GDSC (Yang et al., 2013)[[, {dataset}]]"
        "[[: ln IC50 of {n_drugs} drugs in {n_lines} lines]][[, {n_averaged} pairs measured more than once and averaged]]; "
        "it was read with omicstl {omicstl_version}."
    ),
)
