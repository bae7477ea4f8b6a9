"""A fitted predictor, applied to new observations."""

from omicstl._core.registry import Record

RECORD = Record(
    name="predict",
    verb="tl.predict",
    title="Predictions for new observations",
    summary="Apply a predictor that was fitted with tl.scdeal or tl.adapt to observations that it has not seen.",
    writes=("obsm/{key}", "uns/{key}"),
    scale="any",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("parameters",),
    setting=("inductive",),
    citations=("Lalou2024", "EstebanMedina2026"),
    paragraph="Predictions for {n_obs} observations were made with a fitted {reference_kind} model[[ (SHA-256 {reference_digest_short})]] in omicstl {omicstl_version}.",
    sometimes=(
        "obs/{key}_score",
        "obs/{key}_std",
        "obs/{key}_call",
        "obs/{key}_novelty",
        "obsm/{key}_response",
        "obsm/{key}_response_std",
        "obsm/{key}_calls",
        "obs/{key}_prediction",
        "obsm/{key}_prediction",
        "obsm/{key}_probability",
    ),
    kind="prediction",
)
