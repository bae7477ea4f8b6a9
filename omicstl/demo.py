"""How many patients until your own PLIER knows what the public one knows? An answer on bundled data."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.log import ConvergenceWarning, TransferWarning, progress as progress_bar
from omicstl._core.random import streams
from omicstl._data.files import What, replacing, try_file

from . import datasets, pl, tl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUESTION = "How many patients until your own PLIER knows what the public one knows?"
#: Cell type and the columns whose sum counts it, by flow cytometry or the blood count.
MEASURED = {
    "Neutrophil": ("neutrophil_percent",),
    "B cell": ("b_cells",),
    "T cell": ("cd4_t_cells", "cd8_t_cells"),
    "NK cell": ("nk_cells",),
}
FILES = ("omicstl_demo.h5ad", "omicstl_demo.png")
PATIENTS = (8, 12, 20)
DRAWS = 16
COLLECTIONS = ("blood", "reactome", "pid")


def demo(folder: str | Path = ".", *, progress: bool | None = None) -> AnnData:
    """
    Compare factors of a public compendium with those of 8, 12 and 20 patients, and show a transfer that is refused.

    Fits PLIER to the bundled paediatric lupus compendium, projects the adult cohort, whose cells were counted, and fits
    PLIER to random draws of that cohort's patients with the same gene sets and defaults. Prints what it finds.

    Parameters
    ----------
    folder
        Where ``omicstl_demo.h5ad`` and ``omicstl_demo.png`` are written; it is made if it is not there.
    progress
        Show progress bars. `None` takes ``omicstl.settings.progress``.

    Returns
    -------
    The adult cohort with its projection under ``"plier"``; ``uns["demo"]`` holds the tables ``comparison`` (what
    `omicstl.pl.transfer` draws) and ``shuffled`` (R² of each sample after its genes were shuffled).

    Raises
    ------
    OSError
        If the folder cannot be written.

    Notes
    -----
    A factor stands for a cell type if it carries its name; among several, the one with the highest AUC on held-out genes,
    then the largest coefficient (:func:`named_factor`). It is never chosen by its correlation with the cells. Own and
    transferred factors and the marker means are compared on the same people: those of the 53 fully measured patients, one
    sample each, that were not drawn. Source of the question: :cite:p:`Taroni2019`. Cost: about a minute on one core.

    Examples
    --------
    >>> from omicstl.demo import demo
    >>> cohort = demo("figures")  # doctest: +SKIP
    """
    started = time.monotonic()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        try_file(folder / name, _written(name))
    gene_sets = datasets.gene_sets(*COLLECTIONS)
    compendium, cohort = datasets.sle_pediatric(), datasets.sle_adult()
    _say(f"{QUESTION}\n")
    tl.plier(compendium, gene_sets, progress=progress)
    names = [str(name) for name in compendium.uns["plier"]["names"]]
    named = sum(" " in name for name in names)
    _say(
        f"Learn    {compendium.n_obs} samples of the public compendium: {len(names)} factors, {named} of them with a name."
    )
    tl.project(cohort, compendium)
    _say(f"Bring    {cohort.n_obs} samples of the adult cohort. {_trust(cohort)}")
    people = measured_people(cohort, MEASURED)
    cells = list(datasets.gene_sets("blood"))
    table, notes = compare(
        people, compendium, gene_sets, cells=cells, patients=PATIENTS, n_draws=DRAWS, progress=progress
    )
    _say(f"Compare  {DRAWS} draws each of {_listed(PATIENTS)} of the {people.n_obs} patients whose cells were counted.")
    shuffled, messages = shuffle(cohort, compendium)
    _say(f"Refuse   the same cohort with its genes shuffled. {_trust(shuffled)}")
    for line in [*(f"         It said: {message}" for message in messages), "", *report(table), *notes, ""]:
        _say(line)
    seen = shuffled.obs[["plier_r2", "plier_r2_null"]].rename(columns=lambda name: name.removeprefix("plier_"))
    cohort.uns["demo"] = {"comparison": table, "shuffled": seen}
    figure = draw(table, cohort, shuffled)
    for name, write in zip(FILES, (cohort.write_h5ad, partial(figure.savefig, format="png")), strict=True):
        with replacing(folder / name, _written(name)) as new:
            write(new)
        _say(f"Written: {folder / name}")
    _say(f"{time.monotonic() - started:.0f} seconds.")
    return cohort


def _written(name: str) -> What:
    return What("folder", "what the demo shows", name)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _listed(values: Sequence[object]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last


def _trust(adata: AnnData) -> str:
    quality = adata.uns["plier"]["quality"]
    r2, expected, null = (round(quality[name], 2) + 0.0 for name in ("r2", "r2_expected", "r2_null"))
    return (
        f"Verdict: {quality['verdict']}; R² of held-out genes {r2:.2f} "
        f"(the reference itself {expected:.2f}, permuted genes {null:.2f})."
    )


@contextmanager
def _caught(*categories: type[Warning]) -> Iterator[list[str]]:
    """Collect the messages of some warnings; all others go on to where they belong."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield messages
    for item in seen:
        if issubclass(item.category, categories):
            messages.append(str(item.message))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def measured_people(cohort: AnnData, measured: dict[str, tuple[str, ...]]) -> AnnData:
    """One sample of each person: the first one with all measurements, which become columns named after the cells."""
    obs = pd.DataFrame(
        {cell: cohort.obs[list(columns)].sum(axis=1, skipna=False) for cell, columns in measured.items()}
    )
    obs = obs.assign(subject=cohort.obs["subject"].astype(str), visit=cohort.obs["visit"]).dropna(subset=list(measured))
    first = obs.sort_values("visit", kind="stable").drop_duplicates("subject").index
    people = cohort[cohort.obs_names.isin(first)].copy()
    people.obs = obs.loc[people.obs_names]
    for slot in (people.uns, people.obsm, people.varm):
        slot.clear()
    return people


def named_factor(fitted: AnnData, cell: str) -> int | None:
    """Number of the factor that carries the name of a cell type: of several, the one with the strongest evidence."""
    entry = fitted.uns["plier"]
    names = [str(name) for name in entry["names"]]
    own = [name for name in names if name.partition(" ")[2] == cell]
    if not own:
        return None
    tests = entry["summary"]
    tests = tests[(tests["set"].astype(str) == cell) & tests["factor"].astype(str).isin(own)]
    best = tests.sort_values(["auc", "coefficient"], ascending=False, kind="stable")["factor"].iloc[0]
    return names.index(str(best))


def marker_mean(adata: AnnData, genes: Sequence[str]) -> np.ndarray:
    """Mean z-score of the genes of a set, what most people would compute first."""
    x = np.asarray(adata[:, adata.var_names.isin(genes)].X, dtype=np.float64)
    spread = x.std(axis=0)
    return np.mean((x - x.mean(axis=0))[:, spread > 0] / spread[spread > 0], axis=1)


def compare(
    people: AnnData,
    compendium: AnnData,
    gene_sets: dict[str, list[str]],
    *,
    cells: Sequence[str],
    patients: Sequence[int],
    n_draws: int,
    progress: bool | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Fit on draws of people, score all others, and tabulate names and correlations; and what there was to warn of."""
    from scipy.stats import spearmanr

    measured = [cell for cell in cells if cell in people.obs]
    random = streams(0)
    rows: list[dict[str, object]] = []
    unfinished = 0
    doubts: list[str] = []
    with progress_bar(len(patients) * n_draws, "Own fits", progress) as bar:
        for n, draw_number in [(n, i) for n in patients for i in range(n_draws)]:
            drawn = np.zeros(people.n_obs, dtype=bool)
            drawn[random.generator("draw", n, draw_number).choice(people.n_obs, n, replace=False)] = True
            own, rest = people[drawn].copy(), people[~drawn].copy()
            with _caught(ConvergenceWarning) as slow:
                tl.plier(own, gene_sets, progress=False)
            unfinished += bool(slow)
            for source, model in ((f"{n} patients", own), ("transferred", compendium)):
                with _caught(TransferWarning) as told:
                    tl.project(rest, model, key="plier", key_added="scores")
                doubts += told if model is own else []
                for cell in cells:
                    number = named_factor(model, cell)
                    rho = np.nan
                    if number is not None and cell in measured:
                        rho = float(spearmanr(rest.obsm["scores"][:, number], rest.obs[cell]).statistic)
                    rows.append(_row(cell, source, n, draw_number, float(number is not None), rho))
            for cell in measured:
                rho = float(spearmanr(marker_mean(rest, gene_sets[cell]), rest.obs[cell]).statistic)
                rows.append(_row(cell, "marker mean", n, draw_number, np.nan, rho))
            bar.update(1)
    table = pd.DataFrame(rows)
    order = [*(f"{n} patients" for n in patients), "transferred", "marker mean"]
    table = table.sort_values("source", key=lambda column: column.map(order.index), kind="stable", ignore_index=True)
    total = len(patients) * n_draws
    notes = [f"{unfinished} of the {total} own fits did not converge."] if unfinished else []
    if doubts:
        notes.append(
            f"{len(doubts)} warnings when own factors were brought to the patients left out, e.g.: {doubts[0]}"
        )
    return table, notes


def _row(cell: str, source: str, n: int, draw_number: int, named: float, rho: float) -> dict[str, object]:
    return {"target": cell, "source": source, "n_patients": n, "draw": draw_number, "named": named, "rho": rho}


def shuffle(cohort: AnnData, compendium: AnnData) -> tuple[AnnData, list[str]]:
    """Project the cohort with its gene names shuffled, which must be refused, and say what was warned of."""
    order = streams(0).generator("shuffled genes").permutation(cohort.n_vars)
    shuffled = AnnData(np.array(cohort.X), obs=cohort.obs[["subject"]].copy(), var=cohort.var.iloc[order].copy())
    with _caught(TransferWarning) as messages:
        tl.project(shuffled, compendium, key="plier")
    return shuffled, messages


def report(table: pd.DataFrame) -> list[str]:
    """What the table says, in words and numbers, whichever way it comes out."""
    own = [source for source in table["source"].unique() if source not in ("transferred", "marker mean")]
    cells = list(table["target"].unique())
    named = table.groupby(["target", "source"])["named"].mean().unstack().loc[cells]
    rho = table.groupby(["target", "source"])["rho"].median().unstack().reindex(cells).dropna(how="all")
    known = [cell for cell in cells if named.loc[cell, "transferred"] == 1]
    never = [cell for cell in cells if named.loc[cell, own].max() == 0 and cell in known]
    wide = max(map(len, cells))

    def grid(values: pd.DataFrame, columns: Sequence[str], form: str) -> list[str]:
        head = " " * (wide + 2) + "".join(f"{column:>13}" for column in columns)
        body = [
            [form.format(value) if value == value else "–" for value in values.loc[cell, columns]]
            for cell in values.index
        ]
        return [
            head,
            *(
                f"  {cell:<{wide}}" + "".join(f"{text:>13}" for text in row)
                for cell, row in zip(values.index, body, strict=True)
            ),
        ]

    lines = ["A factor of that name, % of draws"]
    lines += [*grid(100 * named, [*own, "transferred"], "{:.0f}"), ""]
    lines += ["Spearman correlation with the counted cells, in patients left out of the own fit (median of draws)"]
    lines += [*grid(rho, [*own, "transferred", "marker mean"], "{:.2f}"), ""]
    lines += [f"The public model has a factor named after {len(known)} of {len(cells)} cell types."]
    for source in own:
        lines.append(
            f"An own model of {source} has one for {len(cells) * named[source].mean():.1f} of them on average."
        )
    if never:
        lines.append(f"No draw, however many patients, named: {', '.join(never)}.")
    enough = [source for source in own if named[source].mean() >= named["transferred"].mean()]
    lines.append(f"How many patients, then? {enough[0] if enough else 'More than ' + own[-1]}.")
    best, worse = own[-1], 0
    for cell, row in rho.iterrows():
        against = f"{best}: {row[best]:.2f}" if row[best] == row[best] else f"{best}: no factor"
        gain = row["transferred"] - row["marker mean"]
        worse += gain <= 0.02
        side = "ahead of" if gain > 0.02 else "behind" if gain < -0.02 else "level with"
        lines.append(
            f"{cell}: the transferred factor follows the cells with {row['transferred']:.2f} ({against}), "
            f"{side} the plain mean of its markers ({row['marker mean']:.2f})."
        )
    if worse:
        lines.append(
            f"For {worse} of {len(rho)} the plain mean does as well or better: where the markers of a cell are known, use them. "
            "The transfer brings all factors at once, and says whether they hold."
        )
    return lines


def draw(table: pd.DataFrame, cohort: AnnData, shuffled: AnnData) -> Figure:
    """Draw the three answers: which cell types get a name, how well it holds, and what is refused."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with mpl.rc_context({"font.size": 10.5, "axes.titlesize": 11, "axes.titleweight": "bold", "legend.fontsize": 9.5}):
        figure = Figure(
            figsize=(12, 5.4), dpi=140, layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.06), facecolor="white"
        )
        FigureCanvasAgg(figure)
        figure.suptitle(QUESTION, fontsize=15, fontweight="bold")
        grid = figure.add_gridspec(2, 3, width_ratios=(1.05, 1.15, 1))
        pl.transfer(table, show="named", ax=figure.add_subplot(grid[:, 0]))
        ax = pl.transfer(table, show="follows", ax=figure.add_subplot(grid[:, 1]))
        ax.set_title("How well it follows the counted cells", loc="left")
        ax.set_xlabel("Spearman correlation, in patients left out")
        above = figure.add_subplot(grid[0, 2])
        below = figure.add_subplot(grid[1, 2], sharex=above)
        pl.projection_quality(cohort, "plier", ax=above).set_xlabel("")
        pl.projection_quality(shuffled, "plier", ax=below).legend_ = None
        above.set_title(f"The cohort: {cohort.uns['plier']['quality']['verdict']}", loc="left")
        below.set_title(f"Its genes shuffled: {shuffled.uns['plier']['quality']['verdict']}", loc="left")
    return figure
