"""PLIER: a cohort's pathway-level factors (Mao et al. 2019), fitted on rows of expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from omicstl.kernels import rank

if TYPE_CHECKING:
    import scipy.sparse as sp


class Rows(Protocol):
    """What a fit needs of a row source: sizes, and dense blocks of rows, as often as asked."""

    n_rows: int
    n_cols: int

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Dense row blocks."""
        ...


@dataclass(frozen=True)
class PlierOptions:
    """Options of a fit, by the names of `tl.plier`; `None` means that the rule of the method decides."""

    n_factors: int | None = None
    annotated_fraction: float = 0.7
    max_rank: int = 10
    selection: str = "complete"
    prior_weight: float | None = None
    score_penalty: float | None = None
    set_penalty: float | None = None
    init: str = "svd"
    tol: float = 1e-6
    max_iter: int = 350


#: What belongs to the training data: a result that was published elsewhere may lack it.
OPTIONAL = ("mean", "scale", "noise", "score_cov")


@dataclass(frozen=True, eq=False, repr=False)
class PlierModel:
    """A fitted PLIER. Genes p, sets m, factors k; `prior` and `trained` share one sparsity, `heldout` marks the rest.

    A result that was published elsewhere lacks what belongs to its data (`OPTIONAL`). Then it is stored as version 2, without
    them; a complete model is stored as version 1, as ever.
    """

    kind: ClassVar[str] = "plier"
    version: ClassVar[int] = 2

    features: np.ndarray  # (p,) names
    names: np.ndarray  # (k,)
    sets: np.ndarray  # (m,)
    loadings: np.ndarray  # Z (p, k)
    weights: np.ndarray  # U (m, k)
    mean: np.ndarray | None  # (p,) of the training samples
    scale: np.ndarray | None  # (p,) their standard deviation, n - 1
    noise: np.ndarray | None  # (p,) variance that Z B leaves, of z-scores
    score_cov: np.ndarray | None  # (k, k) covariance of B over the training samples
    prior_indptr: np.ndarray  # C by columns
    prior_indices: np.ndarray
    heldout: np.ndarray  # (nnz,) bool: memberships that the fit did not see
    auc: np.ndarray  # (m, k) every set and factor, all genes
    prior_weight: float  # L1
    score_penalty: float  # L2
    set_penalty: float  # L3
    n_obs: int  # 0: not known

    def __repr__(self) -> str:
        named = sum(" " in str(name) for name in self.names)
        learnt = f"learnt from {self.n_obs} observations" if self.n_obs else "learnt elsewhere"
        return (
            f"PlierModel: {self.features.size} genes, {self.sets.size} gene sets, {self.names.size} factors "
            f"({named} named), {learnt}{', no training mean and spread' if self.mean is None else ''}"
        )

    @property
    def prior(self) -> sp.csc_array:
        """All memberships, (p, m)."""
        return self._csc(np.ones(self.prior_indices.size))

    @property
    def trained(self) -> sp.csc_array:
        """The memberships that the fit saw, (p, m)."""
        trained = self._csc((~self.heldout).astype(np.float64))
        trained.eliminate_zeros()
        return trained

    def _csc(self, data: np.ndarray) -> sp.csc_array:
        import scipy.sparse as sp

        shape = (self.features.size, self.sets.size)
        return sp.csc_array((data, self.prior_indices.copy(), self.prior_indptr.copy()), shape=shape)

    def to_dict(self) -> dict[str, Any]:
        """Stored form, of the oldest version that can hold it."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        lacking = [name for name in OPTIONAL if parts[name] is None]
        for name in lacking:
            del parts[name]
        return {"kind": self.kind, "version": 2 if lacking else 1} | parts

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> PlierModel:
        """Rebuild from the stored form, every part with its type and shape checked against the others."""
        p, m = len(tree["features"]), len(tree["sets"])
        k = len(tree["names"])
        nnz = len(tree["prior_indices"])
        lacking = [name for name in OPTIONAL if name not in tree and int(tree["version"]) > 1]
        shapes = {"loadings": (p, k), "weights": (m, k), "mean": (p,), "scale": (p,), "noise": (p,)}
        shapes |= {"score_cov": (k, k), "prior_indptr": (m + 1,), "heldout": (nnz,), "auc": (m, k)}
        for name, shape in shapes.items():
            if name not in lacking and np.shape(tree[name]) != shape:
                msg = f"The PLIER model is damaged: {name} has shape {np.shape(tree[name])}, expected {shape}."
                raise ValueError(msg)
        parts = {f.name: None if f.name in lacking else tree[f.name] for f in fields(cls)}
        for name in ("features", "names", "sets"):
            parts[name] = np.asarray(parts[name], dtype=object)
        for name in ("prior_weight", "score_penalty", "set_penalty"):
            parts[name] = float(parts[name])
        return cls(**(parts | {"n_obs": int(tree["n_obs"]), "heldout": np.asarray(tree["heldout"], dtype=bool)}))


class Prepared(NamedTuple):
    """Training data ready for the loop: Y (p, n) or K = Y Y' (p, p), and the statistics that standardised it."""

    data: np.ndarray
    gram_form: bool
    mean: np.ndarray
    scale: np.ndarray
    n_obs: int


class Counts(NamedTuple):
    """How many factors each rule asks for; None where a rule does not apply."""

    used: int
    rules: dict[str, int | None]


def size_in_bytes(n_genes: int, n_sets: int, n_factors: int, n_members: int) -> int:
    """Bytes of a model of these sizes, known before any fit."""
    return 4 * n_factors * (n_genes + 2 * n_sets) + 8 * n_factors**2 + 8 * 3 * n_genes + 5 * n_members + 16 * n_genes


def hold_out(prior: sp.csc_array, share: float, generator: np.random.Generator) -> np.ndarray:
    """Mark `share` of the members of every set, rounded down, for the test after the fit; (nnz,) bool."""
    marked = np.zeros(prior.nnz, dtype=bool)
    for low, high in zip(prior.indptr[:-1], prior.indptr[1:], strict=True):
        marked[low + generator.choice(high - low, int((high - low) * share), replace=False)] = True
    return marked


def prepare(rows: Rows, finished: Any) -> Prepared:
    """Standardise: K from the statistic's Gram matrix where it holds one, else Y from a second pass over the rows."""
    mean, scale = finished.mean, np.sqrt(finished.variance)
    if finished.gram is not None:
        gram = finished.gram
        gram /= scale
        gram /= scale[:, None]
        return Prepared(gram.astype(np.float32), True, mean, scale, finished.n)
    y = np.empty((rows.n_cols, rows.n_rows), dtype=np.float32)
    low = 0
    for block in rows.blocks():
        y[:, low : low + len(block)] = ((block - mean) / scale).T
        low += len(block)
    return Prepared(y, False, mean, scale, finished.n)


def count_factors(values: np.ndarray, data: Prepared, wanted: int | None, generator: np.random.Generator) -> Counts:
    """Every rule's number of components, and the number of factors used: the wanted one, or thrice Marchenko-Pastur's."""
    p, n = data.data.shape[0], data.n_obs
    values = values[: min(p, n)]
    # Singular values within rounding of the first are no directions: repeated observations or genes have such.
    independent = int(np.count_nonzero(values > values[0] * np.sqrt(2 * np.finfo(np.float32).eps)))
    most = max(1, min(p, n - 1, independent))
    if wanted is not None and wanted > most:
        msg = (
            f"`n_factors` must be at most {most}, got {wanted}: {p} genes and {n} observations have no more independent "
            "directions. Use None to let the data decide, give gene sets with more genes, or leave out repeated observations."
        )
        raise ValueError(msg)
    found = rank.marchenko_pastur(values**2, p, n)
    small = not data.gram_form and data.data.size * min(p, n) <= 2e9
    rules = {
        "marchenko_pastur": found,
        "elbow": rank.elbow(values),
        "gavish_donoho": rank.gavish_donoho(values, p, n),
        "permutation": rank.permutation(data.data, generator) if small and wanted is None else None,
    }
    return Counts(min(rank.n_factors(found, n), most) if wanted is None else wanted, rules)
