"""Networks as methods of `tl.adapt`: an ensemble on both domains' standardised variables, and its stored form."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from omicstl._core.options.alignment import Alignment
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.models.transfer.class_shift import class_shift_weights
from omicstl.models.transfer.heads import BINARY, MULTINOMIAL, REGRESSION, TASKS, Task, labelled, probabilities
from omicstl.models.transfer.network import LOGS, NetworkProgram
from omicstl.models.transfer.network_fit import (
    Members,
    Problem as NetworkProblem,
    Strengths,
    forward,
    held_out_folds,
    train_members,
)
from omicstl.models.transfer.scores import skill

from .problem import Aligned, Fitted, Problem, groups
from .selection import circular
from .spaces import own_scales

TRAINING = Training(epochs=60, batch_size=200, learning_rate=1e-3, validation=0.2, patience=20)
N_MEMBERS, HIDDEN, N_LATENT, DROP, RECONSTRUCTION = 5, (128,), 32, 0.1, 0.1
CANDIDATES = (0.0, 0.3, 1.0)


class Prepared(NamedTuple):
    """All domains standardised by themselves, in one row space, and scaled for networks."""

    aligned: Aligned
    options: Alignment
    random: Streams
    shift: np.ndarray  # weights of all sources' rows in the alignment


@dataclass(frozen=True, eq=False, repr=False)
class NetworkAdaptModel:
    """An ensemble for new observations of the target. Variables p, inputs r, outputs c, members b with l latent variables each."""

    kind: ClassVar[str] = "adapt_network"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    outputs: np.ndarray  # classes, or columns of several labels or numbers
    task: str
    method: str
    weight: float  # of the alignment
    matrix: np.ndarray  # (p, r) from the variables as they are measured in the target
    offset: np.ndarray  # (r,)
    networks: dict[str, np.ndarray]  # arrays of `adapt_network.plain`, stacked
    n_obs: int

    def __repr__(self) -> str:
        return (
            f"NetworkAdaptModel: {self.task} by {len(self.networks['head'])} networks with {self.method} of weight {self.weight:g}, "
            f"{self.features.size} variables, learnt from {self.n_obs} labelled observations"
        )

    @property
    def names(self) -> np.ndarray:
        """Names of the latent variables, member by member."""
        b, n_latent, _ = self.networks["head"].shape
        return np.array([f"N{i + 1}_{j + 1}" for i in range(b) for j in range(n_latent)], dtype=object)

    def _run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return forward(self.networks, np.asarray(x, np.float64) @ self.matrix + self.offset)

    def decide(self, x: np.ndarray) -> np.ndarray:
        """Predictors (n, c) float64, mean over members, of rows (n, p) of the target's kind."""
        return self._run(x)[1].mean(axis=0, dtype=np.float64)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Numbers (n, t), or probabilities: two columns for two classes, one for each class or label else."""
        decision = self.decide(x)
        return decision if self.task == REGRESSION else probabilities(Task(self.task, self.outputs), decision)

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Latent variables (n, b l) float32 of all members side by side."""
        return beside(self._run(x)[0])

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return {"kind": self.kind, "version": self.version} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> NetworkAdaptModel:
        """Rebuild from the stored form, with its shapes checked."""
        networks = {str(name): np.asarray(value, np.float32) for name, value in tree["networks"].items()}
        task, (p, r) = str(tree["task"]), np.shape(tree["matrix"])
        c = 1 if task == BINARY else len(tree["outputs"])
        first = networks["kernel_0" if "kernel_0" in networks else "latent"]
        fits = (len(tree["features"]), np.shape(tree["offset"]), first.shape[1], networks["head"].shape[2])
        if fits != (p, (r,), r, c) or task not in TASKS:
            msg = f"The model of an adaptation is damaged: its parts have the sizes {fits}, expected {(p, (r,), r, c)}."
            raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)} | {"networks": networks, "task": task}
        for name in ("features", "outputs"):
            parts[name] = np.asarray(parts[name], dtype=object)
        parts |= {"method": str(tree["method"]), "weight": float(tree["weight"]), "n_obs": int(tree["n_obs"])}
        return cls(**parts)


@dataclass(frozen=True)
class NetworkMethod:
    """Networks whose latent variables a term brings together, as a method."""

    options: Alignment
    closed: ClassVar[bool] = False

    def prepare(self, problem: Problem, random: Streams) -> Prepared:
        """See `prepare`."""
        return prepare(problem, self.options, random)

    def fit(self, prepared: Prepared, problem: Problem, weights: np.ndarray) -> Fitted:
        """See `fit`."""
        return fit(prepared, problem, weights)


def beside(latent: np.ndarray) -> np.ndarray:
    """Members (b, n, l) side by side (n, b l)."""
    return np.ascontiguousarray(np.moveaxis(latent, 0, 1)).reshape(latent.shape[1], -1)


def prepare(problem: Problem, options: Alignment, random: Streams) -> Prepared:
    """Mean 0 and variance 1 in each domain, then the space of all rows, its columns between no scaling and whitening."""
    if options.label_shift and problem.task.kind not in (BINARY, MULTINOMIAL):
        msg = (
            f"`label_shift` of {type(options).__name__} needs one column of classes, got the task {problem.task.kind!r}. "
            "Leave it out."
        )
        raise ValueError(msg)
    start = own_scales(problem, True, random)
    shift = np.split(_shift(problem, options), np.cumsum([len(z) for z in start.sources])[:-1])
    if options.label_shift:  # the middle of a source with the target's shares of classes
        centred = (z - np.average(z, axis=0, weights=w) for z, w in zip(start.sources, shift, strict=True))
        start = start._replace(sources=tuple(centred))
    spread = np.vstack([*start.sources, start.target]).std(axis=0)
    scale = np.maximum(spread, 1e-6 * spread.max()) ** 0.5
    scale *= np.sqrt(np.mean((spread / scale) ** 2))
    scaled = Aligned(
        tuple(z / scale for z in start.sources), start.target / scale, start.matrix / scale, start.offset / scale, {}
    )
    return Prepared(scaled, options, random, np.concatenate(shift))


def fit(prepared: Prepared, problem: Problem, weights: np.ndarray) -> Fitted:
    """
    Members on the rows of all sources, each with its source's weight, and the labelled rows of the target with weight 1.

    Every member leaves out its share of the rows, by groups where there are some; predictions for them are its own. The weight of
    the term, if it has none, is 0 unless another does surely better at circular validation on the members' latent variables.
    """
    aligned, options, random, shift = prepared
    x, y, each, fold = _rows(aligned, problem, weights, random)
    training = problem.training or TRAINING
    n_members = problem.n_members or N_MEMBERS
    candidates = CANDIDATES if options.weight is None else (float(options.weight),)
    shown, mean, spread, binary = _labels(problem.task, y)
    config = NetworkProgram(
        n_in=x.shape[1],
        n_out=shown.shape[1],
        n_source=len(x),
        n_target=len(aligned.target),
        n_held=int(np.bincount(fold[fold >= 0]).max()) if training.validation else 0,
        n_latent=N_LATENT,
        hidden=HIDDEN,
        classes=problem.task.kind == MULTINOMIAL,
        focus=problem.focus,
        drop=DROP,
        noisy=False,
        terms=(replace(options, weight=None),),
        batch_size=training.batch_size,
        n_epochs=training.epochs,
        learning_rate=training.learning_rate,
        patience=training.patience,
    )
    nothing = np.zeros(x.shape[1])
    shift = np.concatenate([shift, np.ones(len(x) - len(shift))])  # labelled rows of the target
    given = NetworkProblem(x, aligned.target, shown, binary, nothing, shift, weights=each, balanced=problem.balanced)
    tried = train_members(
        given, config, fold, Strengths(RECONSTRUCTION, 0.0), [(w,) for w in candidates], random, n_members=n_members
    )
    chosen = _chosen(tried, aligned, problem) if len(tried) > 1 else 0
    networks = tried[chosen].arrays
    networks["head"] = (networks["head"] * spread).astype(np.float32)
    networks["head_bias"] = (networks["head_bias"] * spread + mean).astype(np.float32)
    model = NetworkAdaptModel(
        features=problem.features,
        outputs=problem.task.names,
        task=problem.task.kind,
        method=type(options).__name__,
        weight=candidates[chosen],
        matrix=aligned.matrix.astype(np.float64),
        offset=np.asarray(aligned.offset, np.float64),
        networks=networks,
        n_obs=int((labelled(y) & (each > 0)).sum()),
    )
    return _fitted(model, aligned, fold, _history(tried[chosen]))


def _rows(
    aligned: Aligned, problem: Problem, weights: np.ndarray, random: Streams
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows that labels are learnt from, their labels, weights and folds: those of the sources, then labelled ones of the target."""
    n_members = problem.n_members or N_MEMBERS
    own = labelled(problem.target.y)
    shown = own.any()  # all rows of the target or none, so that folds with other labels share what is compiled
    x = np.vstack([*aligned.sources, *([aligned.target] if shown else [])]).astype(np.float32)
    y = np.vstack([*(d.y for d in problem.sources), *([problem.target.y] if shown else [])])
    each = [np.full(len(z), w) for z, w in zip(aligned.sources, weights, strict=True)]
    blocks = groups(problem)
    used = labelled(y)
    fold = np.full(len(x), -1)
    count = n_members if n_members > 1 else N_MEMBERS
    among = None if blocks is None else blocks[: len(x)][used]
    fold[used] = held_out_folds(int(used.sum()), among, count, random.generator("folds of members"))
    return x, y, np.concatenate([*each, np.ones(len(own) if shown else 0)]), fold


def _shift(problem: Problem, options: Alignment) -> np.ndarray:
    """Weights of all sources' rows by the target's shares of classes, from variables at their levels: only shares may differ."""
    rows = np.vstack([d.x for d in problem.sources])
    if not options.label_shift:
        return np.ones(len(rows))
    sd = np.vstack([rows, problem.target.x]).std(axis=0)
    scale = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 1e-9 * sd.max(initial=0))
    blocks = groups(problem)
    return class_shift_weights(
        problem.task,
        rows * scale,
        np.vstack([d.y for d in problem.sources]),
        problem.target.x * scale,
        groups=None if blocks is None else blocks[: len(rows)],
    )


def _labels(task: Task, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels as the network is shown them, the mean and spread that were taken out, and which columns are classes."""
    if task.kind == MULTINOMIAL:
        c = len(task.names)
        shown = np.where(np.isfinite(y), np.arange(c)[None, :] == np.nan_to_num(y, nan=-1), np.nan).astype(float)
        return shown, np.zeros(c), np.ones(c), np.ones(c, bool)
    if task.kind != REGRESSION:
        return y, np.zeros(y.shape[1]), np.ones(y.shape[1]), np.ones(y.shape[1], bool)
    mean, spread = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (y - mean) / spread, mean, spread, np.zeros(y.shape[1], bool)


def _chosen(tried: list[Members], aligned: Aligned, problem: Problem) -> int:
    """The weight whose latent variables bring the sources' labels back best from the target; the first unless that is surely better."""
    blind = problem.hidden()
    y = np.vstack([d.y for d in problem.sources])
    found = []
    for members in tried:
        latent = [beside(forward(members.arrays, z)[0]).astype(float) for z in (*aligned.sources, aligned.target)]
        view = Aligned(tuple(latent[:-1]), latent[-1], aligned.matrix, aligned.offset, {})
        found.append(skill(problem.task, circular(view, blind)[0], y, calls=True))
    best = int(np.argmax([one.value for one in found]))
    return best if found[best].value > found[0].value + found[0].error else 0


def _history(members: Members) -> dict[str, np.ndarray]:
    """Columns of a table: a row for each member and epoch that was run."""
    member, epoch = np.nonzero(np.isfinite(members.history[:, :, 0]))
    columns = {name: members.history[member, epoch, i] for i, name in enumerate((*LOGS, "validation"))}
    return {"member": member.astype(np.int32), "epoch": (epoch + 1).astype(np.int32)} | columns


def _fitted(model: NetworkAdaptModel, aligned: Aligned, fold: np.ndarray, history: dict[str, np.ndarray]) -> Fitted:
    outs = [forward(model.networks, z) for z in (*aligned.sources, aligned.target)]
    decided = [value.mean(axis=0, dtype=np.float64) for _, value in outs]
    low, n_members = 0, len(model.networks["head"])
    for i, z in enumerate((*aligned.sources, aligned.target)):
        member = fold[low : low + len(z)]  # none of the target where it has no labels
        low += len(z)
        rows = np.flatnonzero((member >= 0) & (member < n_members))
        decided[i][rows] = outs[i][1][member[rows], rows]
    latent = [beside(z) for z, _ in outs]
    return Fitted(tuple(decided[:-1]), decided[-1], tuple(latent[:-1]), latent[-1], model, history)
