"""A variational autoencoder."""

from omicstl._core.registry import Record

RECORD = Record(
    name="vae",
    verb="tl.vae",
    title="Variational autoencoder of expression",
    summary="Learn latent variables of a cohort with the likelihood and the decoder that fit the data, pathway-masked if wanted.",
    writes=("obsm/{key}", "obsm/{key}_sd", "uns/{key}"),
    scale="any",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "parameters"),
    setting=("unsupervised", "inductive"),
    citations=("Kingma2014", "Lopez2018", "Svensson2020", "Seninge2021", "Lotfollahi2023"),
    paragraph=(
        "Latent variables were learned with a variational autoencoder (Kingma and Welling, 2014) as implemented in omicstl "
        "{omicstl_version}[[, with {n_names} latent units]][[, a '{likelihood}' likelihood]][[ and a '{decoder}' decoder]]"
        "[[, from {n_obs} samples and {n_genes} genes]][[, over {n_iter} epochs]][[ (seed {seed})]]."
    ),
    models=(("vae", "factors.vae.model.VaeModel"),),
    sometimes=("varm/{key}",),
)
