"""Drug response of single cells from a screen of cell lines."""

from omicstl._core.registry import Record

RECORD = Record(
    name="scdeal",
    verb="tl.scdeal",
    title="Drug response of single cells from cell lines",
    summary="Rank cells by the response that a screen of cell lines predicts, call those that it allows to call, and say whether to trust it.",
    writes=("obsm/{key}", "obs/{key}_novelty", "varm/{key}", "varm/{key}_stability", "uns/{key}"),
    scale="counts",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "parameters"),
    setting=("transductive", "inductive"),
    citations=("EstebanMedina2026", "Sun2016a"),
    paragraph=(
        "Drug response of cells was predicted from {n_lines} cell lines on {n_genes} shared genes with omicstl {omicstl_version} "
        "({level}); calls were made at an error of {call_error} for each class, and the transfer was assessed "
        "without labels of the cells[[ (seed {seed})]]."
    ),
    sometimes=(
        "obs/{key}_score",
        "obs/{key}_std",
        "obs/{key}_call",
        "obsm/{key}_response",
        "obsm/{key}_response_std",
        "obsm/{key}_calls",
        "uns/{key}_assessment",
    ),
    guards=True,
    models=(("scdeal", "response.model.ResponseModel"), ("scdeal_network", "response.network_model.NetworkModel")),
)
