"""The verdict on a transfer."""

from omicstl._core.registry import Record

RECORD = Record(
    name="assess",
    verb="tl.assess",
    title="Verdict on a transfer, without labels of the target",
    summary="Say whether a transfer may be used: supported, caution or do not use, with reasons, baselines and nulls.",
    writes=("uns/{key}",),
    scale="any",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "relations"),
    setting=("transductive",),
    citations=("Mourragui2019", "Saerens2002"),
    paragraph=(
        "Whether the transfer may be used was assessed without labels of the target[[ (level '{level}')]] with omicstl "
        "{omicstl_version}: signal in lineages left out, agreement of sources, principal vectors against permuted genes "
        "(Mourragui et al., 2019), agreement of halves of the genes and of the lines, plain baselines and confounders[[; the "
        "verdict was '{verdict}']]. No such check can tell whether the relation of genes to response is the same in the target."
    ),
    kind="assessment",
    behind="assessment",
)
