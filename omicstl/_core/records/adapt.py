"""Adaptation of labels between domains."""

from omicstl._core.registry import Record

RECORD = Record(
    name="adapt",
    verb="tl.adapt",
    title="Labels carried to another domain",
    summary="Predict labels of one cohort, platform or system from others, and say whether that is better than doing without.",
    writes=("obsm/{key}", "uns/{key}"),
    scale="any",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "instances"),
    setting=("transductive", "inductive"),
    citations=("Lalou2024", "Sun2016a", "Fernando2013", "Flamary2019", "Ledoit2004", "Bruzzone2010"),
    paragraph=(
        "Labels were carried to the domain '{target}'[[ from {n_sources} others]] with ridge or logistic regression on aligned variables, as "
        "implemented in omicstl {omicstl_version} (alignment '{used}', chosen without labels of the target where method was 'auto')"
        "[[, from {n_labelled} labelled observations and {n_genes} variables]][[ (seed {seed})]]."
    ),
    sometimes=("obs/{key}_prediction", "obsm/{key}_prediction", "obsm/{key}_probability"),
    guards=True,
    models=(("adapt", "adapt.model.AdaptModel"), ("adapt_network", "adapt.networks.NetworkAdaptModel")),
)
