"""Domains brought together, and heads on what comes of it: the table of methods and the closed forms (numpy, float64).

A method is a record class and an entry in `METHODS`: ``prepare(problem, options, random)`` does what needs no label of the target,
``fit(prepared, problem, weights)`` learns from the labels that `problem` shows, with a weight for each source. Rows of the target
whose label is hidden in a fold are hidden from `fit`, never from `prepare`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.options.adaptation import Coral, LinearTransport, SubspaceAlignment, Unaligned, ZScore
from omicstl._core.options.alignment import Cdan, Dann, DeepCoral, Mmd, SlicedWasserstein
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.kernels import coral, linear_transport, row_space, subspace
from omicstl.models.transfer import heads
from omicstl.models.transfer.heads import Task

from .model import AdaptModel

RANK = 500  # directions; beyond, the leading principal components
LATENT = 50  # latent variables that are written
SHARE = 0.8  # of the target's variance, for subspaces


class Domain(NamedTuple):
    """Rows of one domain."""

    name: str
    x: np.ndarray  # (n, p) float64
    y: np.ndarray  # (n, t), NaN where unknown
    blocks: np.ndarray | None = None  # (n,) what is left out together


@dataclass(frozen=True, eq=False)
class Problem:
    """Sources with labels, and a target with some or none."""

    sources: tuple[Domain, ...]
    target: Domain
    task: Task
    features: np.ndarray
    balanced: bool = False
    left_out: bool = True
    """Whether predictions for labelled rows are to be made without their label; a fit in a fold needs neither these nor a latent."""
    training: Training | None = None
    """For networks."""
    n_members: int | None = None
    """For networks."""
    focus: float = 0.0
    """Exponent of the focal loss, for networks."""
    spaces: dict[Any, Any] = field(default_factory=dict)
    """Row spaces of the same domains on the same scale; problems with other labels share them."""

    def hidden(self, rows: np.ndarray | None = None) -> Problem:
        """Without the labels of these rows of the target; of all of them by default."""
        y = self.target.y.copy()
        y[slice(None) if rows is None else rows] = np.nan
        return replace(self, target=self.target._replace(y=y))


class Aligned(NamedTuple):
    """All domains in one space of r columns; a new row of the target comes there as ``x @ matrix + offset``."""

    sources: tuple[np.ndarray, ...]  # (n_s, r) each
    target: np.ndarray  # (m, r)
    matrix: np.ndarray  # (p, r)
    offset: np.ndarray  # (r,)
    diagnostics: dict[str, np.ndarray]  # a number for each source


class Fitted(NamedTuple):
    """Linear predictors and latent variables of all rows, and the model for new rows of the target."""

    sources: tuple[
        np.ndarray, ...
    ]  # (n_s, c); of labelled rows as if their own label had not been seen, where the method can
    target: np.ndarray  # (m, c), likewise
    latent_sources: tuple[np.ndarray, ...]  # (n_s, k)
    latent_target: np.ndarray  # (m, k)
    model: (
        Any  # `AdaptModel`, or what has its `kind`, `version`, `features`, `predict`, `decide`, `embed` and `to_dict`
    )
    history: Mapping[str, np.ndarray] | None = None  # columns of a table, for networks


class Method(NamedTuple):
    """What the verb needs of a method. A closed form's `prepare` gives an `Aligned`."""

    prepare: Callable[[Problem, Any, Streams], Any]
    fit: Callable[[Any, Problem, np.ndarray], Fitted]
    closed: bool = True


# Scales -------------------------------------------------------------------------------------------------------------


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), x.std(axis=0)


def _inverse(sd: np.ndarray) -> np.ndarray:
    """One over a spread; 0 for what does not vary."""
    used = sd > 1e-9 * max(float(sd.max(initial=0)), 1e-300)
    return np.divide(1.0, sd, out=np.zeros_like(sd), where=used)


def _by_domain(problem: Problem, scale: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and factor of each variable in every source and, last, in the target."""
    moments = [_moments(d.x) for d in (*problem.sources, problem.target)]
    if scale:
        return [(mean, _inverse(sd)) for mean, sd in moments]
    n = np.array([len(d.x) for d in (*problem.sources, problem.target)], float)
    within = np.sqrt(sum(m * sd**2 for m, (_, sd) in zip(n, moments, strict=True)) / n.sum())
    return [(mean, _inverse(within)) for mean, _ in moments]


def _in_row_space(problem: Problem, scales: list[tuple[np.ndarray, np.ndarray]], kind: str, random: Streams) -> Aligned:
    """Scaled rows of all domains in the space that they span together."""
    domains = (*problem.sources, problem.target)
    key = (kind, *(id(d.x) for d in domains))  # the arrays live as long as the problem
    if key not in problem.spaces:
        rows = [(d.x - mean) * factor for d, (mean, factor) in zip(domains, scales, strict=True)]
        if not all(part.any() for part in (rows[-1], np.vstack(rows[:-1]))):
            msg = "No variable varies within the target, or none within a source; there is nothing to learn. Look at the matrix."
            raise ValueError(msg)
        space = row_space.row_space(np.vstack(rows), RANK, rng=random.generator("row space"))
        parts = np.split(space.rows, np.cumsum([len(r) for r in rows])[:-1])
        mean, factor = scales[-1]
        matrix = space.basis * factor[:, None]
        problem.spaces[key] = Aligned(tuple(parts[:-1]), parts[-1], matrix, -mean @ matrix, {})
    return problem.spaces[key]


def _own_scales(problem: Problem, scale: bool, random: Streams) -> Aligned:
    return _in_row_space(problem, _by_domain(problem, scale), f"by domain {scale}", random)


def target_alone(problem: Problem, random: Streams) -> Aligned:
    """Z-scores by domain for what learns from the target alone; the target's spreads are `steady_spread`."""
    scales = _by_domain(problem, True)
    mean, factor = scales[-1]
    sd = steady_spread([d.x for d in problem.sources], problem.target.x)
    scales[-1] = (mean, np.where(factor > 0, _inverse(sd), 0.0))
    return _in_row_space(problem, scales, "target alone", random)


def steady_spread(sources: list[np.ndarray], target: np.ndarray) -> np.ndarray:
    """
    Standard deviations (p,) of the target's variables, drawn towards those of the sources as far as their difference may be chance.

    Few rows say little of a spread, above all of rare counts. The share is the variance that the logarithm of a ratio of two variances
    has by sampling, (kurtosis - 1) (1 / n + 1 / m), over the one that the ratios show among variables; the mean ratio is left as it is.
    """
    rows = np.vstack([x - x.mean(axis=0) for x in sources])
    other, own = rows.var(axis=0), target.var(axis=0)
    used = (_inverse(np.sqrt(own)) > 0) & (_inverse(np.sqrt(other)) > 0)
    if used.sum() < 2:
        return np.sqrt(own)
    ratio = np.log(own[used] / other[used])
    ratio -= ratio.mean()
    n, m = len(rows), len(target)
    kurtosis = np.mean((rows[:, used] ** 2) ** 2, axis=0) / other[used] ** 2
    chance = float(np.mean(kurtosis - 1)) * (1 / n + 1 / m)
    shown = float(np.mean(ratio**2))
    share = min(1.0, chance / shown) if shown > 0 else 1.0
    out = np.sqrt(own)
    out[used] = np.exp(0.5 * (np.log(own[used]) - share * n / (n + m) * ratio))
    return out


# Closed forms -------------------------------------------------------------------------------------------------------


def unaligned(problem: Problem, options: Unaligned, random: Streams) -> Aligned:
    """One scale for all, that of the sources."""
    pooled = np.vstack([d.x for d in problem.sources])
    mean, sd = _moments(pooled)
    return _in_row_space(problem, [(mean, _inverse(sd))] * (len(problem.sources) + 1), "sources", random)


def z_score(problem: Problem, options: ZScore, random: Streams) -> Aligned:
    """Mean 0 and variance 1 in each domain."""
    return _own_scales(problem, options.scale, random)


def _n_features(problem: Problem, start: Aligned) -> int:
    """Variables that a covariance is of: those beyond the space of the rows count, unless it was cut."""
    r = start.target.shape[1]
    return r if r == RANK else len(problem.features)


def _mapped(problem: Problem, start: Aligned, align: Callable[..., Any], shrinkage: float | None) -> Aligned:
    p = _n_features(problem, start)
    rows = []
    for source in start.sources:
        matrix, offset = align(source, start.target, shrinkage=shrinkage, n_features=p)
        rows.append(source @ matrix + offset)
    distance = np.array([_distance(source, start.target, shrinkage, p) for source in start.sources])
    return start._replace(sources=tuple(rows), diagnostics={"distance": distance})


def _distance(source: np.ndarray, target: np.ndarray, shrinkage: float | None, p: int) -> float:
    """Share of the two covariances' traces that lies between them."""
    first, second = (coral.shrunk_covariance(z, shrinkage=shrinkage, n_features=p) for z in (source, target))
    outside = p - len(first.values)
    total = first.values.sum() + second.values.sum() + outside * (first.outside + second.outside)
    return linear_transport.squared_distance(first, second, outside) / float(total)


def coral_alignment(problem: Problem, options: Coral, random: Streams) -> Aligned:
    """Sources with the target's covariance."""
    start = _own_scales(problem, options.scale, random)
    return _mapped(problem, start, coral.coral, options.shrinkage)


def transport_alignment(problem: Problem, options: LinearTransport, random: Streams) -> Aligned:
    """Sources moved onto the target at least cost."""
    start = _own_scales(problem, options.scale, random)
    return _mapped(problem, start, linear_transport.linear_transport, options.shrinkage)


def subspace_alignment(problem: Problem, options: SubspaceAlignment, random: Streams) -> Aligned:
    """Principal axes of each source turned onto those of the target."""
    start = _own_scales(problem, options.scale, random)
    most = min(min(len(z) - 1, z.shape[1]) for z in (*start.sources, start.target))
    k = options.n_comps
    if k is None:
        values = np.linalg.svd(start.target - start.target.mean(axis=0), compute_uv=False) ** 2
        k = int(np.searchsorted(np.cumsum(values) / values.sum(), SHARE)) + 1
        k = max(1, min(k, 50, most))
    elif k > most:
        msg = (
            f"`n_comps` must be at most {most}, one less than the smallest domain has observations, got {k}. Use "
            "SubspaceAlignment() for a number by rule."
        )
        raise ValueError(msg)
    maps = [subspace.subspace_alignment(source, start.target, k) for source in start.sources]
    rows = tuple((source - source.mean(axis=0)) @ m.source for source, m in zip(start.sources, maps, strict=True))
    axes, mean = maps[0].target, start.target.mean(axis=0)
    cosines = np.array([m.cosines.mean() for m in maps])
    return Aligned(
        rows,
        (start.target - mean) @ axes,
        start.matrix @ axes,
        (start.offset - mean) @ axes,
        {"mean_cosine": cosines},
    )


def fit_closed(aligned: Aligned, problem: Problem, weights: np.ndarray) -> Fitted:
    """One head on the rows of all sources, each with its source's weight, and the labelled rows of the target with weight 1."""
    z = np.vstack([*aligned.sources, aligned.target])
    y = np.vstack([*(d.y for d in problem.sources), problem.target.y])
    sizes = [len(part) for part in aligned.sources]
    w = np.concatenate(
        [*(np.full(n, share) for n, share in zip(sizes, weights, strict=True)), np.ones(len(aligned.target))]
    )
    head = heads.fit_head(
        problem.task,
        z,
        y,
        weights=w,
        groups=_groups(problem),
        balanced=problem.balanced,
        outside=problem.left_out,
    )
    decision = np.where(np.isfinite(head.left_out), head.left_out, head.decide(z))
    cut = np.cumsum(sizes)
    n_latent = min(LATENT, z.shape[1], len(z) - 1)
    axes = subspace.principal_axes(z, n_latent) if problem.left_out else np.zeros((z.shape[1], 0))
    mean = z.mean(axis=0)
    latent = np.split((z - mean) @ axes, cut)
    model = AdaptModel(
        features=problem.features,
        names=np.array([f"AD{i + 1}" for i in range(axes.shape[1])], dtype=object),
        outputs=problem.task.names,
        task=problem.task.kind,
        method="",
        coefficients=(aligned.matrix @ head.coefficients).astype(np.float64),
        intercept=aligned.offset @ head.coefficients + head.intercept,
        components=(aligned.matrix @ axes).astype(np.float32),
        offset=(aligned.offset - mean) @ axes,
        n_obs=int((heads.labelled(y) & (w > 0)).sum()),
    )
    parts = np.split(decision, cut)
    return Fitted(tuple(parts[:-1]), parts[-1], tuple(latent[:-1]), latent[-1], model)


def _groups(problem: Problem) -> np.ndarray | None:
    domains = (*problem.sources, problem.target)
    if any(d.blocks is None for d in domains):
        return None
    return np.unique(np.concatenate([np.asarray(d.blocks).astype(str) for d in domains]), return_inverse=True)[1]


def _deep(name: str) -> Callable[..., Any]:
    """A function of `adapt_deep`, which brings the networks along when it is called."""
    return lambda *given: getattr(import_module("omicstl.models.adapt.networks"), name)(*given)


METHODS: dict[type, Method] = {
    Unaligned: Method(unaligned, fit_closed),
    ZScore: Method(z_score, fit_closed),
    Coral: Method(coral_alignment, fit_closed),
    SubspaceAlignment: Method(subspace_alignment, fit_closed),
    LinearTransport: Method(transport_alignment, fit_closed),
} | dict.fromkeys((Mmd, DeepCoral, SlicedWasserstein, Dann, Cdan), Method(_deep("prepare"), _deep("fit"), closed=False))
#: What a string names.
NAMES: dict[str, type] = {
    "none": Unaligned,
    "zscore": ZScore,
    "coral": Coral,
    "subspace_alignment": SubspaceAlignment,
    "linear_transport": LinearTransport,
    "mmd": Mmd,
    "deep_coral": DeepCoral,
    "sliced_wasserstein": SlicedWasserstein,
    "dann": Dann,
    "cdan": Cdan,
}


def name_of(options: object) -> str:
    """The string that names a record's class."""
    return next(name for name, cls in NAMES.items() if cls is type(options))
