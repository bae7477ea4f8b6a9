"""All drugs of a real screen for cells made from real lines that no fit has seen: `tl.scdeal` beside simple rules.

    python benchmarks/semi_real.py --data FOLDER

FOLDER holds `bulk_ccle_gdsc_tgsa.h5ad` (580 lines, 706 genes, ln IC50) and `sc_pseudo_from_heldout_lines.h5ad` (1,500 count cells of
60 lines, whose names are in `uns["held_out_lines"]` and never in training). Drugs with 300 training lines or more.

Measured for each drug, mean over drugs: rho of lines (median of a line's cells, with minus ln IC50), of cells, both again after the mean of
each line (cell) over drugs is taken from truth and prediction ("specific"; drugs are z-scored for it), and of lines within their
tissue (tissues of three lines or more, means taken off). Beside: one ridge on the mean response over drugs, used for every drug
("general"), the tissue's mean in the training lines, and cells replaced by the mean of their cluster (60 of k-means on
the cells, as many as there are lines, in principal axes or in the axes in which the fit seeks neighbours).
Intervals: 2,000 bootstraps of lines and drugs together, paired between methods; ranks are taken once. Nothing was chosen on the 60 lines.
Results go to `benchmarks/results/semi_real.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from bench_plier import machine

import omicstl as otl
from omicstl._core.log import TransferWarning
from omicstl._core.random import Streams
from omicstl.models.response import fit as response_fit, network
from omicstl.models.response.smoothing import axes_of
from omicstl.models.transfer.screen import Cells, Lines
from omicstl.tl._shared import screen

WAYS = {
    "no alignment": otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=0),
    "CORAL": otl.tl.ResponseRidge(align="coral", smoothing=0.0, n_members=0),
    "CORAL, smoothed": otl.tl.ResponseRidge(align="coral", n_members=0),
    "denoised": otl.tl.ResponseRidge(align="denoise", smoothing=0.0, n_members=0),
}
MEASURES = ("line rho", "cell rho", "line rho, specific", "cell rho, specific", "line rho within tissue")
BOOTSTRAPS = 2000


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def specific(values: np.ndarray) -> np.ndarray:
    """Z-scored by drug, less the mean of each row over drugs. A drug that is predicted the same for all counts as zero."""
    sd = np.nanstd(values, axis=0)
    z = (values - np.nanmean(values, axis=0)) / np.where(sd > 0, sd, np.inf)
    return z - np.nanmean(z, axis=1, keepdims=True)


def ranked(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Ranks within each column over what is known, centred; zero elsewhere."""
    ranks = pd.DataFrame(np.where(known, values, np.nan)).rank().to_numpy()
    return np.where(known, ranks - np.nanmean(ranks, axis=0), 0.0)


def moments(score: np.ndarray, truth: np.ndarray, unit: np.ndarray, n: int) -> np.ndarray:
    """Sums by unit of what a correlation of ranks needs: (6, n, d)."""
    known = np.isfinite(truth) & np.isfinite(score)
    a, b = ranked(score, known), ranked(truth, known)
    parts = (known.astype(float), a, b, a * a, b * b, a * b)
    out = np.zeros((6, n, score.shape[1]))
    for i, part in enumerate(parts):
        np.add.at(out[i], unit, part)
    return out


def correlation(sums: np.ndarray) -> np.ndarray:
    """Correlations (..., d) from sums (6, ..., d); zero where a side is constant."""
    n, a, b, aa, bb, ab = sums
    n = np.maximum(n, 1)
    size = np.sqrt(np.maximum(aa - a * a / n, 0) * np.maximum(bb - b * b / n, 0))
    return np.divide(ab - a * b / n, size, out=np.zeros_like(size), where=size > 1e-9)


def measure(score: np.ndarray, truth: np.ndarray, line: np.ndarray, tissue: np.ndarray) -> dict[str, np.ndarray]:
    """Sums by line (6, lines, d) of every measure. `truth` is (lines, d), `score` (cells, d)."""
    n = len(truth)
    medians = np.stack([np.median(score[line == i], axis=0) for i in range(n)])
    own = np.arange(n)
    names, code, count = np.unique(tissue, return_inverse=True, return_counts=True)
    large = np.flatnonzero(count[code] >= 3)

    def centred(values: np.ndarray) -> np.ndarray:
        out = values[large].copy()
        for group in np.unique(code[large]):
            rows = code[large] == group
            out[rows] -= np.nanmean(out[rows], axis=0)
        return out

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a tissue in which a drug was not measured
        known = np.where(np.isfinite(truth), medians, np.nan)
        inside = moments(centred(known), centred(truth), large, n)
    part = specific(truth)
    return dict(
        zip(
            MEASURES,
            (
                moments(medians, truth, own, n),
                moments(score, truth[line], line, n),
                moments(specific(medians), part, own, n),
                moments(specific(score), part[line], line, n),
                inside,
            ),
            strict=True,
        )
    )


def general_lines(lines: Lines) -> Lines:
    """The lines with one response: the mean of the z-scored ones."""
    z = (lines.y - np.nanmean(lines.y, axis=0)) / np.nanstd(lines.y, axis=0)
    mean = np.nanmean(z, axis=1, keepdims=True)
    return lines._replace(y=mean, drugs=np.array(["general"], dtype=object), binary=np.zeros(1, bool))


def tissue_means(lines: Lines, tissue: np.ndarray) -> np.ndarray:
    """Mean response (held-out lines, d) of the training lines of a tissue; the mean of all where there are none."""
    whole = np.nanmean(lines.y, axis=0)
    out = np.empty((tissue.size, lines.y.shape[1]))
    for i, name in enumerate(tissue):
        rows = lines.lineage == name
        known = np.isfinite(lines.y[rows])
        out[i] = np.where(known.any(axis=0), np.nansum(lines.y[rows], axis=0) / np.maximum(known.sum(axis=0), 1), whole)
    return out


def cluster_means(score: np.ndarray, cells: Cells, axes: np.ndarray | None = None) -> np.ndarray:
    """Scores replaced by the mean of the cell's cluster, in 30 principal axes of the cells or by angle in those of the fit."""
    from sklearn.cluster import KMeans

    x = cells.rows.take(np.arange(cells.rows.n_rows))
    z = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-6)
    points = z @ (axes_of(z.astype(np.float32), Streams(0), 30) if axes is None else axes)
    points = points if axes is None else points / np.linalg.norm(points, axis=1, keepdims=True)
    code = KMeans(60, n_init=5, random_state=0).fit_predict(points)
    return np.stack([score[code == c].mean(axis=0) for c in range(60)])[code]


def network_scores(lines: Lines, cells: Cells) -> np.ndarray:
    """The deep level with its defaults; the weight of its term is chosen on lines that were left out."""
    fit = network.fit(lines, cells, otl.tl.ResponseNetwork(), Streams(0))
    print(f"network: {fit.chosen['reason']}")
    return fit.score.astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    bulk = ad.read_h5ad(folder / "bulk_ccle_gdsc_tgsa.h5ad")
    cells = ad.read_h5ad(folder / "sc_pseudo_from_heldout_lines.h5ad")
    held = [str(name) for name in cells.uns["held_out_lines"]]
    table = bulk.obsm["ln_ic50"]
    training = ~bulk.obs_names.isin(held)
    drugs = [str(name) for name in table if np.isfinite(table.loc[training, name]).sum() >= 300]
    truth = -table.loc[held, drugs].to_numpy()
    line = pd.Index(held).get_indexer(cells.obs["line"].astype(str))
    tissue = bulk.obs.loc[held, "tissue"].astype(str).to_numpy()
    options = {"drugs": drugs, "response_key": "ln_ic50", "sensitive": "low", "lineage_key": "tissue"}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        start = cpu()
        otl.tl.scdeal(cells, bulk, exclude_lines=held, **options)
        seconds = cpu() - start
        read = screen.read(cells, bulk, screen.Asked(exclude_lines=held, **options))
    lines, target = read.lines, read.target
    assert not set(map(str, lines.names)) & set(held)
    scores = {"tl.scdeal": cells.obsm["scdeal_response"].astype(float)}
    entry = cells.uns["scdeal"]
    print(f"{len(drugs)} drugs, {len(lines.x)} lines: {seconds:.1f} CPU seconds; {entry['params']['level']}")
    print(entry["params"]["align_reason"])
    fits = {name: response_fit.fit(lines, target.cells, way, Streams(0)) for name, way in WAYS.items()}
    scores |= {name: fit.score.astype(float) for name, fit in fits.items()}
    chosen = otl.tl.ResponseRidge(align=str(entry["params"]["align"]), n_members=0)
    general = response_fit.fit(general_lines(lines), target.cells, chosen, Streams(0)).score
    scores["general sensitivity"] = np.repeat(general.astype(float), len(drugs), axis=1)
    scores["tissue mean"] = tissue_means(lines, tissue)[line]
    scores["cluster means of tl.scdeal"] = cluster_means(scores["tl.scdeal"], target.cells)
    scores["cluster means, its own axes"] = cluster_means(
        scores["tl.scdeal"], target.cells, fits["denoised"].model.cell_axes
    )
    start = cpu()
    scores["network"] = network_scores(lines, target.cells)
    print(f"network: {cpu() - start:.0f} CPU seconds")

    generator = np.random.default_rng(0)
    n, d = truth.shape
    weights = generator.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS).astype(float)
    columns = generator.integers(d, size=(BOOTSTRAPS, d))
    results: dict[str, dict[str, dict[str, float]]] = {}
    drawn: dict[tuple[str, str], np.ndarray] = {}
    for name, score in scores.items():
        results[name] = {}
        for what, sums in measure(score, truth, line, tissue).items():
            rho = correlation(sums.sum(axis=1))
            each = correlation(np.stack([weights @ part for part in sums]))
            drawn[name, what] = np.take_along_axis(each, columns, axis=1).mean(axis=1)
            low, high = np.quantile(drawn[name, what], [0.025, 0.975])
            gap = drawn["tl.scdeal", what] - drawn[name, what]
            results[name][what] = {
                "rho": float(rho.mean()),
                "low": float(low),
                "high": float(high),
                "gain": results["tl.scdeal"][what]["rho"] - float(rho.mean()) if name != "tl.scdeal" else 0.0,
                "gain_low": float(np.quantile(gap, 0.025)),
                "gain_high": float(np.quantile(gap, 0.975)),
                "share_above_0.3": float((rho > 0.3).mean()),
            }
    for what in MEASURES:
        print(f"\n{what}: mean over drugs [95 %]; tl.scdeal less it [95 %]")
        for name, row in results.items():
            r = row[what]
            print(
                f"  {name:28s} {r['rho']:.3f} [{r['low']:.3f}, {r['high']:.3f}]   {r['gain']:+.3f} [{r['gain_low']:+.3f}, {r['gain_high']:+.3f}]"
            )
    out = {
        "machine": machine(),
        "drugs": len(drugs),
        "lines": len(lines.x),
        "cells": cells.n_obs,
        "cpu_seconds": seconds,
        "level": str(entry["params"]["level"]),
        "results": results,
    }
    path = Path(__file__).parent / "results" / "semi_real.json"
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
