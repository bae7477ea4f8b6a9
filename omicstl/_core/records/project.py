"""Projection of new data onto a fitted model, as in MultiPLIER."""

from omicstl._core.registry import Record

RECORD = Record(
    name="project",
    verb="tl.project",
    title="Projection onto factors learned elsewhere (MultiPLIER)",
    summary="Score new samples on the factors of a model fitted on other data, and say how far to trust each score.",
    writes=("obsm/{key}", "uns/{key}", "obs/{key}_r2", "obs/{key}_r2_null"),
    scale="log",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "parameters"),
    setting=("inductive",),
    citations=("Taroni2019",),
    paragraph=(
        "[[Samples were scored on {n_names} factors of a {reference_kind} model]]"
        "[[ (SHA-256 {reference_digest_short})]] fitted on other data[[, by {scored_by},]] "
        "as in MultiPLIER (Taroni et al., 2019) with omicstl {omicstl_version}"
        "[[; {n_genes} of its {n_reference_genes} genes were measured]]"
        "[[; genes were standardised with the option '{standardize}']]"
        "[[ and missing genes treated with the option '{missing}']]."
    ),
    sometimes=("varm/{key}", "obsm/{key}_sd"),
    kind="projection",
)
