"""Real cells with a known response: what an area under the curve there is worth, and what the verdict says.

    python benchmarks/real_cells.py --data FOLDER [--draws 200]

FOLDER/scdeal: 580 cell lines (CCLE, 706 cancer genes, z-scores; ln(IC50) of GDSC) and three sets of cells as z-scores: A375 (108, BRAF
inhibitor), JHU006 (66) and SCC47 (120). The other labels that circulate for these cells are the same vectors or their complements. No
area is aimed at: these are cases for the verdict. For each task:

*penalties*  ridge regression on the genes that both have, every penalty of a grid; the one that tissues left out choose, without a look at the cells.
*lines drawn again*  the same with lines drawn with replacement, penalty chosen each time: area (median, 95 %) and how often its sign is right.
*cells drawn again*  interval of the area for lines as they are, cells drawn with replacement by class. It does not know that cells of a class are one clone.
*tissue or not*  the tissue of the cells against all other lines, from expression, without any drug data. *tissue-adjusted*: means of each tissue taken
from expression and response of the lines. *first component* of the cells, shared genes and all genes: the larger of area and 1 - area. *tissue mean* cannot rank cells of one tissue.
*other drugs*  models of all drugs with 100 lines or more: how many reach at least this area, and how many at least as far from a half on either side.
*genes permuted*  area of the same weights on genes in another order: how wide is chance?
*own line*  A375 is among the lines (ACH-000219 in the model table of DepMap); everything above leaves it out; this is with it.
*scdeal*  `tl.scdeal` with ``scale="zscore"``, the line left out, and its verdict (``level="fast"``) with the reasons.

No penalty, seed or option is chosen by labels of cells. Results go to `benchmarks/results/real_cells.json`. Two to three CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import drug_response_data as data
import numpy as np
from drug_response_data import Ridge, area, chosen_penalty, rounded, spread, z_scored

SHOWN = slice(None, None, 2)


class Case:
    """A task on the genes that both have; z-scores of lines and of cells, each by themselves."""

    def __init__(self, folder: Path, task: data.Task, *, own_line: bool = False) -> None:
        self.lines, self.cells = data.read(folder, data.LINES), data.read(folder, task.file)
        if task.own is not None and not own_line:
            self.lines = self.lines[self.lines.obs_names != task.own].copy()
        self.task = task
        x, c = data.shared(self.lines, self.cells)
        self.all_x, self.c, self.all_tissue = x, z_scored(c), data.tissue(self.lines)
        self.known, self.x, self.y, self.tissue = self.of(task.drug)
        self.labels = self.cells.obs[task.column].to_numpy()

    def of(self, drug: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Lines with a response to the drug, their genes, response, tissue."""
        y = data.response(self.lines, drug)
        known = np.isfinite(y)
        return known, z_scored(self.all_x[known]), y[known], self.all_tissue[known]

    def score(self, x: np.ndarray, y: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        """Scores of the cells, at the penalty that tissues left out choose."""
        return Ridge(x, y).predict(self.c)[:, chosen_penalty(x, y, tissue)]

    def area(self, score: np.ndarray) -> float:
        return area(self.labels, score)


def penalties(case: Case) -> dict:
    areas = [case.area(score) for score in Ridge(case.x, case.y).predict(case.c).T]
    chosen = chosen_penalty(case.x, case.y, case.tissue)
    grid = {f"{penalty:.3g}": value for penalty, value in zip(data.PENALTIES[SHOWN], areas[SHOWN], strict=True)}
    return {
        "grid": grid,
        "lowest": min(areas),
        "highest": max(areas),
        "chosen": float(data.PENALTIES[chosen]),
        "area": areas[chosen],
    }


def lines_drawn_again(case: Case, draws: int) -> dict:
    values, random = [], np.random.default_rng(0)
    for _ in range(draws):
        rows = random.integers(0, len(case.y), len(case.y))
        values.append(case.area(case.score(z_scored(case.x[rows]), case.y[rows], case.tissue[rows])))
    return spread(values) | {"sign_right": float(np.mean(np.array(values) > 0.5))}


def cells_drawn_again(case: Case, draws: int) -> dict:
    score, random = case.score(case.x, case.y, case.tissue), np.random.default_rng(0)
    classes = [np.flatnonzero(case.labels == one) for one in (0, 1)]
    values = []
    for _ in range(draws):
        rows = np.concatenate([random.choice(members, len(members)) for members in classes])
        values.append(area(case.labels[rows], score[rows]))
    return spread(values)


def without_drug(case: Case) -> dict:
    """What needs no response of lines to the drug, and what is left without their tissues."""
    mine = (case.tissue == case.task.tissue).astype(float)
    genes = z_scored(np.asarray(case.cells.X, float))
    first = {name: np.linalg.svd(z, full_matrices=False)[0][:, 0] for name, z in (("shared", case.c), ("all", genes))}
    x, y = case.x.copy(), case.y.copy()
    for one in set(case.tissue):
        rows = case.tissue == one
        x[rows], y[rows] = x[rows] - x[rows].mean(0), y[rows] - y[rows].mean()
    tissue_model = Ridge(case.x, mine).predict(case.c)
    areas = [case.area(score) for score in tissue_model.T]
    return {
        "tissue_or_not": {
            "lines_of_it": int(mine.sum()),
            "area": areas[
                chosen_penalty(case.x, mine, np.arange(len(mine)))
            ],  # one tissue: lines left out, not tissues
            "lowest": min(areas),
            "highest": max(areas),
        },
        "tissue_adjusted": case.area(case.score(z_scored(x), y, case.tissue)),
        "first_component": {name: max(case.area(u), 1 - case.area(u)) for name, u in first.items()},
        "sensitivity_to_all_drugs": case.area(case.score(*general(case))),
    }


def general(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines with their mean response over drugs, each drug standardised."""
    table = -case.lines.obsm["ln_ic50"].to_numpy(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        table = (table - np.nanmean(table, 0)) / np.nanstd(table, 0)
        mean = np.nanmean(table, 1)
    known = np.isfinite(mean)
    return z_scored(case.all_x[known]), mean[known], case.all_tissue[known]


def other_drugs(case: Case, own: float) -> dict:
    table = case.lines.obsm["ln_ic50"]
    names = [name for name in table if table[name].notna().sum() >= 100 and name != case.task.drug]
    areas = []
    for name in names:
        _, x, y, tissue = case.of(name)
        areas.append(case.area(case.score(x, y, tissue)))
    values = np.array(areas)
    return {
        "drugs": len(names),
        "reach_it": float(np.mean(values >= own)),
        "as_far_from_half": float(np.mean(np.abs(values - 0.5) >= abs(own - 0.5))),
        **spread(values),
    }


def genes_permuted(case: Case, own: float, draws: int) -> dict:
    chosen, model, random = (
        chosen_penalty(case.x, case.y, case.tissue),
        Ridge(case.x, case.y),
        np.random.default_rng(0),
    )
    weights = model.weights[:, chosen]
    values = np.array([case.area(case.c @ weights[random.permutation(len(weights))]) for _ in range(draws)])
    p = (1 + np.sum(np.abs(values - 0.5) >= abs(own - 0.5))) / (1 + draws)
    return {"sd": float(values.std()), "p_two_sided": float(p)}


def scdeal(case: Case) -> dict:
    """`tl.scdeal` and its verdict."""
    import omicstl as otl

    cells, lines = case.cells.copy(), case.lines.copy()
    lines.obsm["ln_ic50"] = lines.obsm["ln_ic50"].astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.tl.scdeal(
            cells,
            lines,
            drugs=[case.task.drug],
            response_key="ln_ic50",
            sensitive="low",
            lineage_key="tissue",
            scale="zscore",
            progress=False,
        )
        otl.tl.assess(cells, lines, key="scdeal")
    found = cells.uns["scdeal_assessment"]
    checks = found["checks"]
    score = cells.obs["scdeal_score"].to_numpy(float)
    return {
        "area": case.area(score),
        "verdict": str(found["verdict"]),
        "score": float(found["score"]),
        "reasons": [str(reason) for reason in found["reasons"]],
        "failed": checks.loc[checks["status"] == "failed", "check"].astype(str).tolist(),
        "caution": checks.loc[checks["status"] == "caution", "check"].astype(str).tolist(),
        "not_checked": checks.loc[checks["status"] == "not checked", "check"].astype(str).tolist(),
        "called": cells.obs["scdeal_call"].astype(str).value_counts().to_dict() if "scdeal_call" in cells.obs else {},
    }


def measure(folder: Path, task: data.Task, draws: int) -> dict:
    case = Case(folder, task)
    grid = penalties(case)
    out = {
        "lines": len(case.y),
        "shared_genes": case.x.shape[1],
        "cells": len(case.labels),
        "called_sensitive_in_truth": float(case.labels.mean()),
        "penalties": grid,
        "lines_drawn_again": lines_drawn_again(case, draws),
        "cells_drawn_again": cells_drawn_again(case, draws),
        **without_drug(case),
        "other_drugs": other_drugs(case, grid["area"]),
        "genes_permuted": genes_permuted(case, grid["area"], 2 * draws),
    }
    if task.own is not None:
        out["own_line_kept"] = penalties(Case(folder, task, own_line=True))
    return out | {"scdeal": scdeal(case)}


def show(found: dict[str, dict]) -> None:
    """One table of all tasks."""
    rows = {
        "shared genes": lambda r: r["shared_genes"],
        "ridge, penalty chosen": lambda r: f"{r['penalties']['area']:.2f}",
        "ridge, any penalty": lambda r: f"{r['penalties']['lowest']:.2f} to {r['penalties']['highest']:.2f}",
        "lines drawn again": lambda r: (
            f"{r['lines_drawn_again']['median']:.2f} ({r['lines_drawn_again']['low']:.2f} to {r['lines_drawn_again']['high']:.2f})"
        ),  # fmt: skip
        "sign right": lambda r: f"{100 * r['lines_drawn_again']['sign_right']:.0f} %",
        "tissue or not": lambda r: f"{r['tissue_or_not']['area']:.2f}",
        "tissue-adjusted": lambda r: f"{r['tissue_adjusted']:.2f}",
        "sensitivity to all": lambda r: f"{r['sensitivity_to_all_drugs']:.2f}",
        "first component": lambda r: f"{r['first_component']['shared']:.2f} / {r['first_component']['all']:.2f}",
        "other drugs reach it": lambda r: f"{100 * r['other_drugs']['reach_it']:.0f} %",
        "genes permuted, p": lambda r: f"{r['genes_permuted']['p_two_sided']:.2f}",
        "tl.scdeal": lambda r: f"{r['scdeal']['area']:.2f}",
        "verdict": lambda r: r["scdeal"]["verdict"],
    }
    print(f"{'':22s}" + "".join(f"{name:>22s}" for name in found))
    for name, text in rows.items():
        print(f"{name:22s}" + "".join(f"{text(row)!s:>22s}" for row in found.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=200)
    arguments = parser.parse_args()
    from bench_plier import machine

    found = {task.name: measure(arguments.data / "scdeal", task, arguments.draws) for task in data.TASKS}
    results = rounded(found)
    print(json.dumps(results, indent=1))
    show(found)
    path = Path(__file__).parent / "results" / "real_cells.json"
    path.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
