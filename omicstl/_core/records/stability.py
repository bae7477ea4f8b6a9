"""Stability of the factors of a model over refits."""

from omicstl._core.registry import Record

RECORD = Record(
    name="stability",
    verb="tl.stability",
    title="Stability of factors over refits",
    summary="Refit a model over seeds and hold-outs and say how reproducible each factor and each pathway of it is.",
    writes=("uns/{key}",),
    scale="log",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("parameters",),
    setting=("unsupervised",),
    citations=("Mao2019",),
    paragraph=(
        "The reproducibility of each factor was measured[[ over {n_refits} refits]] with other seeds and "
        "hold-outs[[ (seed {seed})]] "
        "with omicstl {omicstl_version}."
    ),
    amends=True,
)
