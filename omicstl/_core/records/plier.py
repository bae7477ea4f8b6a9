"""PLIER."""

from omicstl._core.registry import Record

RECORD = Record(
    name="plier",
    verb="tl.plier",
    title="PLIER: pathway-level information extractor",
    summary="Learn factors of expression that align with known gene sets, each named by the sets it follows.",
    writes=("obsm/{key}", "varm/{key}", "uns/{key}"),
    scale="log",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "parameters", "relations"),
    setting=("unsupervised", "inductive"),
    citations=("Mao2019",),
    paragraph=(
        "Pathway-level factors were learned with PLIER (Mao et al., 2019) as implemented in omicstl {omicstl_version}"
        "[[, from {n_obs} samples, {n_genes} genes and {n_sets} gene sets]][[, which gave {n_names} factors]]"
        "[[ after {n_iter} iterations]][[ (seed {seed})]]. "
        "[[A share of {holdout} of the genes of each gene set was held out to test which sets a factor follows. ]]"
    ),
    models=(("plier", "factors.plier.model.PlierModel"),),
)
