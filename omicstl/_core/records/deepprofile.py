"""DeepProfile."""

from omicstl._core.registry import Record

RECORD = Record(
    name="deepprofile",
    verb="tl.deepprofile",
    title="DeepProfile: latent variables that an ensemble of autoencoders agrees on",
    summary="Learn factors of expression from many variational autoencoders, with their stability and uncertainty.",
    writes=("obsm/{key}", "obsm/{key}_sd", "obsm/{key}_sd_between", "uns/{key}"),
    scale="log",
    layouts=("dense", "csr", "csc", "backed", "dask"),
    transfers=("features", "parameters"),
    setting=("unsupervised", "inductive"),
    citations=("Qiu2024", "Dincer2018", "Kingma2014"),
    paragraph=(
        "Latent variables were learned with an ensemble of variational autoencoders as in DeepProfile (Dincer et al., 2018; Qiu et "
        "al., 2024), as implemented in omicstl {omicstl_version}[[: {n_networks} networks]][[ on {n_comps} principal components]]"
        "[[ of {n_obs} samples and {n_genes} genes]][[, trained for {epochs} epochs]]"
        "[[, whose latent units were clustered into {n_names} factors]][[ ({clustering} clustering)]][[ (seed {seed})]]. "
    ),
    models=(("deepprofile", "factors.deepprofile.model.DeepprofileModel"),),
)
