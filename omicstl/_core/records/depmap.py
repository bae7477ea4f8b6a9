"""DepMap, expression of cell lines."""

from omicstl._core.registry import Record

RECORD = Record(
    name="depmap",
    verb="io.read_depmap",
    title="DepMap: expression of the Cancer Cell Line Encyclopedia",
    summary="Read the expression of cancer cell lines, joined to a drug screen.",
    writes=("uns/{key}",),
    scale="log",
    layouts=("dense",),
    transfers=("instances",),
    setting=("unsupervised", "inductive"),
    citations=("Ghandi2019",),
    paragraph=(
        "Expression of cell lines, log2(TPM + 1), came from DepMap and the Cancer Cell Line Encyclopedia (Ghandi et al., 2019)"
        "[[: {n_obs} lines and {n_genes} genes]]; it was read with omicstl {omicstl_version}."
    ),
)
