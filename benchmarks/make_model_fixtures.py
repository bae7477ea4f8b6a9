"""Write the small model files of `tests/data/models/`, one for each kind and released format. Those that are there are kept.

python benchmarks/make_model_fixtures.py tests/data/models
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import omicstl as otl


def write(folder: Path, name: str, model: otl.get.Model) -> None:
    """A released file stays as it was written: later versions must read that one, not a new one."""
    if not (folder / name).exists():
        otl.io.write_model(folder / name, model)


def published(adata, model) -> otl.get.Model:
    """The fit as a folder of tables without its data's mean and spread, read back."""
    trained = pd.DataFrame(model.trained.toarray(), model.features, model.sets)
    heldout = np.argwhere((model.prior - model.trained).toarray() > 0)
    tables = {
        "Z": pd.DataFrame(model.loadings, model.features),
        "U": pd.DataFrame(model.weights, model.sets),
        "C": trained,
        "B": pd.DataFrame(adata.obsm["plier"].T),
        "heldOutGenes": pd.DataFrame({"set": model.sets[heldout[:, 1]], "gene": model.features[heldout[:, 0]]}),
        "parameters": pd.DataFrame(
            {"value": {"L1": model.prior_weight, "L2": model.score_penalty, "L3": model.set_penalty}}
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, table in tables.items():
            table.to_csv(Path(folder) / f"{name}.tsv", sep="\t")
        return otl.io.read_plier(folder)


def responses(folder: Path, few: otl.tl.Training) -> None:
    """Predictors of a drug response, by ridge and by networks."""
    cells, lines, _ = otl.datasets.simulate_drug_response(60, 40, 120, rng=0)
    network = otl.tl.ResponseNetwork(term=None, n_members=2, hidden=(6,), n_latent=3, n_comps=8)
    for name, level, training in (
        ("scdeal", otl.tl.ResponseRidge(n_comps=8, n_members=4), None),
        ("scdeal_network", network, few),
    ):
        options = {"drugs": ["ln_ic50"], "sensitive": "low", "lineage_key": "tissue"}
        otl.tl.scdeal(cells, lines, level=level, training=training, **options)
        write(folder, f"{name}_1.npz", otl.get.model(cells, "scdeal"))


def main(folder: Path) -> None:
    adata, truth = otl.datasets.simulate_pathways(40, 60, n_sets=6, n_factors=3, rng=0)
    otl.tl.plier(adata, truth.gene_sets, n_factors=4, max_iter=60, min_genes=5, progress=False)
    model = otl.get.model(adata)
    write(folder, "plier_1.npz", model)
    write(folder, "plier_2.npz", published(adata, model))
    otl.pp.gene_modules(adata, n_modules=8)
    write(folder, "gene_modules_1.npz", otl.get.model(adata, "gene_modules"))
    adata.obs["batch"] = ["a", "b"] * 20
    few = otl.tl.Training(epochs=5, batch_size=20)
    otl.tl.vae(adata, n_factors=2, decoder="linear", hidden=(6,), batch_key="batch", training=few)
    write(folder, "vae_1.npz", otl.get.model(adata, "vae"))
    otl.tl.deepprofile(adata, latent_sizes=(2, 3), n_members=2, n_clusters=3, n_comps=6, training=few)
    write(folder, "deepprofile_1.npz", otl.get.model(adata, "deepprofile"))
    adata.obs["domain"] = ["old"] * 25 + ["new"] * 15
    adata.obs["class"] = np.where(truth.scores[:40, 0] > 0, "high", "low")
    adata.obs.loc[adata.obs["domain"] == "new", "class"] = None
    otl.tl.adapt(adata, domain_key="domain", label_key="class", method="coral", safeguard=False)
    write(folder, "adapt_1.npz", otl.get.model(adata, "adapt"))
    options = {"domain_key": "domain", "label_key": "class", "safeguard": False, "n_members": 2}
    otl.tl.adapt(adata, method="mmd", training=few, key_added="deep", **options)
    write(folder, "adapt_network_1.npz", otl.get.model(adata, "deep"))
    responses(folder, few)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((12, 2)), index=[f"g{i}" for i in range(12)], columns=["LV1", "LV2"])
    write(folder, "factor_table_1.npz", otl.io.factor_table(table, penalty=2.0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
