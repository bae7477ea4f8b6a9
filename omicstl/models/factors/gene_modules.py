"""Modules of genes that rise and fall together, and their means: the input of DeepProfile's first version."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from omicstl.kernels import kmeans

from .projection import FactorQuality, Scored, Standardised

if TYPE_CHECKING:
    import scipy.sparse as sp


@dataclass(frozen=True, eq=False, repr=False)
class GeneModules:
    """Genes p in modules k, the largest first."""

    kind: ClassVar[str] = "gene_modules"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    names: np.ndarray  # (k,) "module 1", ...
    mean: np.ndarray  # (p,) of the training data
    scale: np.ndarray  # (p,) their standard deviation, n - 1
    labels: np.ndarray  # (p,) 0 is "module 1"
    with_module: np.ndarray  # (p,) correlation of each gene with the mean of its module
    within: np.ndarray  # (k,) mean correlation of two genes of the module, NaN for a single gene
    n_obs: int

    def __repr__(self) -> str:
        return f"GeneModules: {self.features.size} genes in {self.names.size} modules, learnt from {self.n_obs} observations"

    @property
    def sizes(self) -> np.ndarray:
        """Number of genes of each module, (k,)."""
        return np.bincount(self.labels, minlength=self.names.size)

    @property
    def loadings(self) -> np.ndarray:
        """Correlation of each gene with the mean of its own module, 0 elsewhere, (p, k)."""
        found = np.zeros((self.features.size, self.names.size), np.float32)
        found[np.arange(self.features.size), self.labels] = self.with_module
        return found

    def embed(self, z: np.ndarray, present: np.ndarray | None = None, missing: str = "model") -> np.ndarray:
        """Module means (n, k) float32 of standardised rows (n, g), whose columns are the features at `present`, or all.

        Missing genes are left out of the mean, or count as 0 with ``missing="mean"``. A module without a gene is 0.
        """
        labels = self.labels if present is None else self.labels[present]
        return np.ascontiguousarray((_average(labels, self._divisor(labels, missing)) @ z.T).T, dtype=np.float32)

    def _divisor(self, labels: np.ndarray, missing: str) -> np.ndarray:
        return self.sizes if missing == "mean" else np.bincount(labels, minlength=self.names.size)

    def top_genes(self, n: int = 10) -> np.ndarray:
        """Names of the `n` genes of each module that follow its mean most closely, the closest first, joined by commas."""
        order = np.lexsort((np.arange(self.labels.size), -self.with_module, self.labels))
        ends = np.cumsum(self.sizes)
        parts = [order[end - size : end][:n] for end, size in zip(ends, self.sizes, strict=True)]
        return np.array([", ".join(self.features[part].astype(str)) for part in parts], dtype=object)

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return {"kind": self.kind, "version": self.version} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> GeneModules:
        """Rebuild from the stored form, with every shape checked against the others."""
        p, k = len(tree["features"]), len(tree["names"])
        shapes = dict.fromkeys(("mean", "scale", "labels", "with_module"), (p,)) | {"within": (k,)}
        for name, shape in shapes.items():
            if np.shape(tree[name]) != shape:
                msg = (
                    f"The model of gene modules is damaged: {name} has shape {np.shape(tree[name])}, expected {shape}."
                )
                raise ValueError(msg)
        labels = np.asarray(tree["labels"])
        if labels.dtype.kind not in "iu" or not np.array_equal(np.unique(labels), np.arange(k)):
            msg = f"The model of gene modules is damaged: labels are not those of {k} modules."
            raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)} | {"n_obs": int(tree["n_obs"])}
        for name in ("features", "names"):
            parts[name] = np.asarray(parts[name], dtype=object)
        return cls(**parts)


def _average(labels: np.ndarray, divisor: np.ndarray) -> sp.csr_array:
    """Sums over genes of a module, divided, as a matrix (k, g)."""
    import scipy.sparse as sp

    shares = (1.0 / np.maximum(divisor, 1)[labels]).astype(np.float32)
    return sp.csr_array((shares, (labels, np.arange(labels.size))), shape=(divisor.size, labels.size))


class Fit(NamedTuple):
    """A model, the share of the genes' variance that lies between modules, and how the clustering ended."""

    model: GeneModules
    explained: float
    n_iter: int
    converged: bool


def fit_modules(
    points: kmeans.Points,
    features: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    n_obs: int,
    n_modules: int,
    generator: np.random.Generator,
    *,
    n_starts: int,
    max_iter: int,
) -> Fit:
    """Cluster genes by their z-scores (or their correlations), and number the modules by size, then by their first gene.

    Points have squared length 1. `ValueError` if fewer genes differ than there are modules.
    """
    found = kmeans.kmeans(points, n_modules, generator, n_starts=n_starts, max_iter=max_iter)
    present, first, sizes = np.unique(found.labels, return_index=True, return_counts=True)
    if present.size < n_modules:
        msg = (
            f"The {features.size} genes have only {present.size} different profiles, which cannot make {n_modules} modules. "
            f"Pass n_modules={present.size} at most; more observations tell more genes apart."
        )
        raise ValueError(msg)
    order = np.lexsort((first, -sizes))
    labels = np.argsort(order)[found.labels].astype(np.int32)
    sizes = sizes[order]
    square = np.bincount(labels, weights=found.with_own, minlength=n_modules)  # squared length of the sum of a module
    within = np.where(sizes > 1, (square - sizes) / np.maximum(sizes * (sizes - 1), 1), np.nan)
    model = GeneModules(
        features=features,
        names=np.array([f"module {i + 1}" for i in range(n_modules)], dtype=object),
        mean=mean,
        scale=scale,
        labels=labels,
        with_module=(found.with_own / np.sqrt(square)[labels]).astype(np.float32),
        within=within,
        n_obs=n_obs,
    )
    return Fit(model, found.explained, found.n_iter, found.converged)


class Panel(NamedTuple):
    """A model restricted to the genes at hand (g)."""

    present: np.ndarray  # (g,) positions among the features
    labels: np.ndarray  # (g,)
    counts: np.ndarray  # (k,) genes present
    slope: np.ndarray  # (k,) of a gene on the mean of the other genes of its module
    missing: str


def panel(model: GeneModules, present: np.ndarray, missing: str) -> Panel:
    """Take the genes at `present`; slopes are those of pairs that all have the module's mean correlation."""
    labels = model.labels[present]
    counts = np.bincount(labels, minlength=model.names.size)
    r, others = _within(model), np.maximum(counts - 1, 0)
    slope = others * r / (1 + np.maximum(others - 1, 0) * r)
    return Panel(present, labels, counts, slope, missing)


def _within(model: GeneModules) -> np.ndarray:
    return np.maximum(np.nan_to_num(model.within), 0.0)


def factor_quality(model: GeneModules, part: Panel) -> FactorQuality:
    r"""Expected correlation and slope of the mean of some genes of a module against the mean of all.

    With the mean correlation r for every pair, the mean of m genes has the variance :math:`(1 + (m - 1) r) / m`, which is also
    its covariance with the mean of any part of them.
    """
    r, m, q = _within(model), model.sizes, part.counts
    whole, some = (1 + (m - 1) * r) / m, (1 + (q - 1) * r) / np.maximum(q, 1)
    correlation = np.where(q > 0, np.sqrt(whole / np.where(q > 0, some, 1.0)), 0.0)
    slope = q / m if part.missing == "mean" else (q > 0).astype(np.float64)
    weight = model.with_module.astype(np.float64) ** 2
    there = np.bincount(part.labels, weights=weight[part.present], minlength=m.size)
    return FactorQuality(correlation, slope, there / np.bincount(model.labels, weights=weight, minlength=m.size))


def expected_r2(model: GeneModules, part: Panel) -> float:
    """The R² of genes from the other genes of their modules that rows of the reference itself would show."""
    return float(np.mean((part.slope * _within(model))[part.labels]))


def score_rows(model: GeneModules, rows: Standardised, part: Panel, permutations: list[np.ndarray]) -> Scored:
    """Score rows in blocks; their own mean is taken off before R² is measured.

    Each gene is predicted from the mean of the other genes of its module; the null gives genes the modules of other genes.
    """
    blocks, n_rows, centre, scale, mean = rows
    labels = [part.labels, *(part.labels[order] for order in permutations)]
    scores = np.empty((n_rows, model.names.size), dtype=np.float32)
    r2, r2_null = np.full(n_rows, np.nan), np.full(n_rows, np.nan)
    shift = model.embed(((centre - mean) / scale)[None].astype(np.float32), part.present, part.missing)
    low = 0
    for block in blocks:
        here = slice(low, low + len(block))
        z = ((block - mean) / scale).astype(np.float32)
        scores[here] = model.embed(z, part.present, part.missing) - shift
        if n_rows >= 3 and permutations:
            genes = np.ascontiguousarray(z.T)
            total = np.maximum(np.einsum("gn,gn->n", genes, genes, dtype=np.float64), np.finfo(np.float32).tiny)
            left = np.array([_left(genes, of_gene, part) for of_gene in labels])
            r2[here], r2_null[here] = 1 - left[0] / total, np.max(1 - left[1:] / total, axis=0)
        low += len(block)
    return Scored(scores, r2, r2_null)


def _left(genes: np.ndarray, labels: np.ndarray, part: Panel) -> np.ndarray:
    """Squares that are left of each observation when genes (g, n) are predicted from the other genes of their modules."""
    share = (part.slope / np.maximum(part.counts - 1, 1)).astype(np.float32)[labels, None]
    sums = _average(labels, np.ones_like(part.counts)) @ genes
    left = genes - share * (sums[labels] - genes)
    return np.einsum("gn,gn->n", left, left, dtype=np.float64)
