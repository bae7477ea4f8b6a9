"""refine.bio, a compendium of public arrays and RNA-seq."""

from omicstl._core.registry import Record

RECORD = Record(
    name="refinebio",
    verb="io.read_refinebio",
    title="refine.bio: public arrays and RNA-seq, processed in one way",
    summary="Read a download of refine.bio: experiments, a species, or a normalized compendium.",
    writes=("uns/{key}",),
    scale="log",
    layouts=("dense",),
    transfers=("instances",),
    setting=("unsupervised", "inductive"),
    citations=("Greene2019",),
    paragraph=(
        "Expression of public samples came from refine.bio (Greene et al., 2019)"
        "[[: {n_obs} samples of {n_experiments} experiments and {n_genes} genes]]"
        "[[, aggregated by {aggregate_by}]][[ and scaled by {scale_by}]]"
        "[[ (quantile-normalised: {quantile_normalized})]]; they were read with omicstl {omicstl_version}."
    ),
)
