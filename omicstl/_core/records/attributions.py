"""Attributions of factors to genes."""

from omicstl._core.registry import Record

RECORD = Record(
    name="attributions",
    verb="tl.attributions",
    title="Attributions of factors to genes",
    summary="Say which genes the factors of a network rest on, in the units of their scores, and whether the parts add up.",
    writes=("varm/{key}", "uns/{key}"),
    scale="log",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features",),
    setting=("unsupervised",),
    citations=("Sundararajan2017", "Qiu2024"),
    paragraph=(
        "Factors were attributed to genes[[ by the method '{method}']][[ with {n_steps} steps (Sundararajan et al., 2017)]]"
        "[[ over {n_obs} samples]] with omicstl {omicstl_version}."
    ),
    behind="attributions",
)
