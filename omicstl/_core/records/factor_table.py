"""A published table of loadings, taken as a model."""

from omicstl._core.registry import Record

RECORD = Record(
    name="factor_table",
    verb="io.factor_table",
    title="A published table of loadings",
    summary="Make a model of loadings that others have published, to project onto.",
    writes=(),
    scale="log",
    layouts=("dense",),
    transfers=("features", "parameters"),
    setting=("inductive",),
    citations=("Taroni2019",),
    paragraph="Loadings that were published elsewhere were taken as a model with omicstl {omicstl_version}.",
    models=(("factor_table", "factors.factor_table.FactorTable"),),
)
