"""Modules of genes and their means."""

from omicstl._core.registry import Record

RECORD = Record(
    name="gene_modules",
    verb="pp.gene_modules",
    title="Gene modules",
    summary="Group genes that rise and fall together, and describe observations by the means of a few hundred groups.",
    writes=("obsm/{key}", "var/{key}", "varm/{key}", "uns/{key}"),
    scale="log",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features",),
    setting=("unsupervised", "inductive"),
    citations=("Dincer2018", "Lloyd1982"),
    paragraph=(
        "Genes were grouped into modules by k-means (Lloyd, 1982) of their z-scores over observations with omicstl {omicstl_version}"
        "[[ ({n_genes} genes, {n_modules} modules, {n_obs} observations, seed {seed})]]"
        "[[, of the {n_top_genes} genes with the largest median absolute deviation]], and observations described by the means of the modules, as in the first "
        "version of DeepProfile (Dincer et al., 2018)."
    ),
    models=(("gene_modules", "factors.gene_modules.GeneModules"),),
)
