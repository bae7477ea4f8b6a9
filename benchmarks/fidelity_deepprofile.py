"""What the original of DeepProfile computes, beside what the package does, on whole blood of lupus patients.

    python benchmarks/fidelity_deepprofile.py --data FOLDER

FOLDER holds `sle_wb_e_geod_65391.h5ad` (996 samples, 7,000 genes). Attributions: the original's
(``Get_VAE_IG_Attributions.py``) for each latent unit, 50 left ends of steps, led to the genes as V(p * mean gradient), the mean of its absolute value
over samples, averaged over the units of a factor. Compared by what the sum over genes says of the change of the score, by rank
correlation, and by deletion: the top genes of each factor are set to their mean, and the change of the score is given in its standard
deviations. Once for one network, whose units are the factors, and once for an ensemble. Results go to
`benchmarks/results/fidelity_deepprofile.json`.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import anndata as ad
import jax
import numpy as np
from scipy.stats import spearmanr

import omicstl as otl
from omicstl.models.factors.deepprofile.model import DeepprofileModel

STEPS, TOP, N_OBS = 50, (100, 400), 256
FITS = {
    "one network": {"latent_sizes": (25,), "n_members": 1, "n_clusters": 25, "n_comps": 300},
    "ensemble": {"latent_sizes": (5, 10, 25, 50), "n_members": 4, "n_clusters": 50, "n_comps": 300},
}


def _mean(layers, p):
    *hidden, head = layers
    for kernel, bias in hidden:
        p = jax.nn.relu(p @ kernel + bias)
    return p @ head


@jax.jit
def _left(layers, p):
    """Mean gradients (n, units, d) at the left ends of the steps, by differentiation."""
    jacobian = jax.vmap(jax.jacrev(partial(_mean, layers)))

    def add(total, step):
        return total + jacobian(step / STEPS * p), None

    nothing = jax.numpy.zeros((len(p), layers[-1].shape[1], p.shape[1]))
    return jax.lax.scan(add, nothing, jax.numpy.arange(STEPS, dtype=p.dtype))[0] / STEPS


def original(model: DeepprofileModel, z: np.ndarray) -> dict[str, np.ndarray]:
    """Importance of genes for each factor (genes, k) as the original has it and with a sign; and the gap of completeness (k,)."""
    p = model.reduce(z)
    cluster, weight = model.weights()
    sizes = np.bincount(cluster[cluster >= 0])
    k = model.n_clusters
    importance, signed = np.zeros((k, z.shape[1])), np.zeros((k, z.shape[1]))
    sums, changes = np.zeros((len(z), k)), np.zeros((len(z), k))
    low = 0
    for size, group in sorted(model.encoders.items()):
        for i in range(group.n_members):
            layers = [
                *zip((a[i] for a in group.kernels), (b[i] for b in group.biases), strict=True),
                group.head[i][:, :size],
            ]
            gradients = np.asarray(_left(layers, p))
            change = np.asarray(_mean(layers, p) - _mean(layers, np.zeros_like(p)))
            for unit in range(size):
                c = cluster[low + unit]
                if c < 0:
                    continue
                each = (p * gradients[:, unit]) @ model.components.T
                importance[c] += np.abs(each).mean(axis=0) / sizes[c]
                signed[c] += (np.sign(change[:, [unit]]) * each).mean(axis=0) / sizes[c]
                sums[:, c] += weight[low + unit] * each.sum(axis=1)
                changes[:, c] += weight[low + unit] * change[:, unit]
            low += size
    gap = np.abs(sums - changes).mean(axis=0) / np.abs(changes).mean(axis=0)
    return {"importance": importance.T, "signed": signed.T, "gap": gap}


def deletion(model: DeepprofileModel, z: np.ndarray, weights: np.ndarray, top: int) -> float:
    """Mean change of a factor's score, in its standard deviations, when its top genes are set to their mean."""
    before, _ = model.embed(z)
    found = []
    for c in range(weights.shape[1]):
        changed = z.copy()
        changed[:, np.argsort(-np.abs(weights[:, c]), kind="stable")[:top]] = 0
        after, _ = model.embed(changed)
        found.append(np.abs(after[:, c] - before[:, c]).mean() / before[:, c].std())
    return float(np.mean(found))


def compare(adata: ad.AnnData, settings: dict) -> dict:
    otl.tl.deepprofile(adata, **settings, training=otl.tl.Training(), linear=False)  # the paper's
    model = otl.get.model(adata)
    chosen = np.sort(np.random.default_rng(0).choice(adata.n_obs, N_OBS, replace=False))
    x = np.asarray(adata[:, list(model.features)].X, np.float64)[chosen]
    z = ((x - model.mean) / model.scale).astype(np.float32)
    few = adata[chosen].copy()
    ways, gaps = {}, {}
    for name in ("integrated_gradients", "integrated_gradients_absolute", "correlation", "gradient"):
        otl.tl.attributions(few, method=name)
        ways[name] = few[:, list(model.features)].varm["deepprofile_attributions"]
        gaps[name] = few.uns["deepprofile_attributions"]["completeness_gap"]["gap"].mean()
    theirs = original(model, z)
    ways |= {"original": theirs["importance"], "original with a sign": theirs["signed"]}
    ways["random"] = np.random.default_rng(1).random(ways["original"].shape)
    ranks = [
        spearmanr(a, b).statistic
        for a, b in zip(theirs["importance"].T, ways["integrated_gradients_absolute"].T, strict=True)
    ]
    shared = [
        len({*np.argsort(-a)[:100]} & {*np.argsort(-b)[:100]})
        for a, b in zip(theirs["importance"].T, ways["integrated_gradients_absolute"].T, strict=True)
    ]
    scores = {str(top): {name: deletion(model, z, way, top) for name, way in ways.items()} for top in TOP}
    return {
        "factors": int(model.n_clusters),
        "completeness_gap": {
            "integrated_gradients": float(gaps["integrated_gradients"]),
            "original": float(theirs["gap"].mean()),
        },
        "original_against_absolute": {"spearman": float(np.mean(ranks)), "shared_of_top_100": float(np.mean(shared))},
        "deletion": scores,
        "signed_over_original": {top: row["integrated_gradients"] / row["original"] for top, row in scores.items()},
    }


def rounded(value):
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else float(f"{value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    from bench_plier import machine

    adata = ad.read_h5ad(arguments.data / "sle_wb_e_geod_65391.h5ad")
    out = {"attributions": {name: rounded(compare(adata.copy(), settings)) for name, settings in FITS.items()}}
    print(json.dumps(out, indent=1))
    path = Path(__file__).parent / "results" / "fidelity_deepprofile.json"
    path.write_text(json.dumps({"machine": machine(), "results": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
