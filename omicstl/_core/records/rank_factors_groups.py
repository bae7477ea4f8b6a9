"""Tests over factors."""

from omicstl._core.registry import Record

RECORD = Record(
    name="rank_factors_groups",
    verb="tl.rank_factors_groups",
    title="Tests over factors",
    summary="Say which factors differ between groups or follow a measurement, by how much, with repeated samples accounted for.",
    writes=("uns/{key}",),
    scale="any",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features",),
    setting=("inductive",),
    citations=("Smyth2004", "Ritchie2015", "Hoffman2021", "KenwardRoger1997", "Benjamini1995"),
    paragraph=(
        "[[Scores of {n_factors} factors]][[ (the choice '{factors}')]][[ in {n_obs} samples]]"
        "[[ were tested for '{phenotype}' ]][[against '{reference_group}' ]]with moderated t and F tests (Smyth, 2004; Ritchie et al., 2015)[[, with repeated samples of the same '{block}' "
        "({n_blocks} of them) taken into account (Kenward and Roger, 1997; Hoffman and Roussos, 2021)]][[, within them alone (paired: {paired})]]"
        "[[, adjusted for {covariates}]][[, adjusted for the factors {factor_covariates}]], and p-values were adjusted by the method of "
        "Benjamini and Hochberg (1995), with omicstl {omicstl_version}."
    ),
    behind="test",
)
