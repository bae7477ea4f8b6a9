"""Gene sets among the top genes of factors."""

from omicstl._core.registry import Record

RECORD = Record(
    name="enrich",
    verb="tl.enrich",
    title="Gene sets of factors",
    summary="Say which gene sets the top genes of each factor belong to, from loadings or attributions of any method.",
    writes=("uns/{key}",),
    scale="any",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("relations",),
    setting=("unsupervised",),
    citations=("Rivals2007", "Goeman2007", "Benjamini1995"),
    paragraph=(
        "Gene sets of factors were found by Fisher's exact test of one side (Rivals et al., 2007)"
        "[[ among the {n_top} genes with the largest weights of each factor (sign: {sign})]]"
        "[[, {n_sets} sets and {n_genes} genes]][[, {n_tests} tests in all]], and p-values, which take genes as independent "
        "(Goeman and Bühlmann, 2007), were adjusted by the method of Benjamini and Hochberg (1995), with omicstl {omicstl_version}."
    ),
    kind="enrichment",
    behind="enrichment",
)
