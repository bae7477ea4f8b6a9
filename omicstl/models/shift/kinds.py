"""Which of covariate, label and concept shift do two domains show? (numpy)

========== ======================= ==================================================
shift      stays the same          changes
========== ======================= ==================================================
covariate  P(y given x)            P(x)
label      P(x given y)            P(y)
concept    neither                 P(y given x), whatever the rest does
========== ======================= ==================================================

Without labels in the target P(y given x) cannot be seen, so a name says what else it may be: "none or concept", "covariate or concept",
"label or other".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams

from . import tests

KINDS = ("none", "covariate", "label", "concept")
BLIND_KINDS = ("none or concept", "covariate or concept", "label or other")
LEAST_LABELS = 20
PERMUTATIONS = 200
BLIND = (
    "Without labels in the target nothing can tell whether the relation of features to labels is the same there "
    "(concept shift)."
)


FEW = "too few components to test whether other shares of the labels explain it"
UNTESTED = {
    "covariate": f"Covariate shift: the features differ, and the shares of labels do not differ measurably; {FEW}.",
    "label": f"Label shift: the features and the shares of labels differ; {FEW}.",
    "label or other": f"The features differ; {FEW}.",
}


class Check(NamedTuple):
    """One thing that may be the same in both domains; p is NaN where it could not be tested."""

    name: str
    statistic: float
    p: float
    note: str


class Shift(NamedTuple):
    """The kind (one of `KINDS`, or of `BLIND_KINDS` where concept shift could not be seen), a sentence, and the checks."""

    kind: str
    concept_tested: bool
    sentence: str
    checks: tuple[Check, ...]
    shares: np.ndarray


def name_shift(
    source: np.ndarray,
    y_source: np.ndarray,
    target: np.ndarray,
    y_target: np.ndarray,
    *,
    n_classes: int,
    random: Streams,
    alpha: float = 0.01,
) -> Shift:
    """
    Name the shift from tests of what stays the same.

    x are a few components with variance one; y are codes of classes, or numbers (`n_classes` 0), NaN where unknown. Labels of the
    target are a random sample of its rows, or absent.
    """
    known, known_target = np.isfinite(y_source), np.isfinite(y_target)
    if not n_classes:
        middle, spread = y_source[known].mean(), y_source[known].std()
        y_source, y_target = (y_source - middle) / spread, (y_target - middle) / spread
    design = tests.basis(y_source[known], n_classes)
    marginal = tests.same_marginal(source, target, random.generator("marginal"), PERMUTATIONS)
    mixture = tests.explained_by_labels(source[known], design, target)
    checks = [
        Check("P(x)", *marginal, "means and Gaussian kernels"),
        Check("P(x) after other shares of labels", *mixture[:2], "means of the components"),
        Check("P(x) along the labels", *tests.same_shares(source[known], design, target), "means of the components"),
    ]
    enough = int(known_target.sum()) >= LEAST_LABELS
    if enough:
        own, y_own = target[known_target], y_target[known_target]
        checks.append(Check("P(y)", *_same_labels(y_source[known], y_own, n_classes), "labelled rows"))
        given = tests.same_given_label(source[known], design, own, tests.basis(y_own, n_classes))
        checks.append(Check("P(x | y)", *given, "means of the components"))
        checks.append(
            Check("P(y | x)", *_same_relation(source[known], y_source[known], own, y_own, n_classes), "score test")
        )
    else:
        missing = f"{int(known_target.sum())} labelled rows of the target, {LEAST_LABELS} are needed"
        checks += [Check(name, float("nan"), float("nan"), missing) for name in ("P(y)", "P(x | y)", "P(y | x)")]
    kind = _decide([check.p for check in checks], alpha, enough)
    sentence = _sentence(kind, enough, int(known_target.sum()), mixture_tested=bool(np.isfinite(mixture[1])))
    return Shift(kind, enough, sentence, tuple(checks), mixture[2])


def _decide(p: list[float], alpha: float, labelled: bool) -> str:
    tested = bool(np.isfinite(p[1]))  # more components than unknown shares
    x, mixture, along, y, x_given_y, y_given_x = (np.isfinite(value) and value < alpha for value in p)
    if not labelled:
        none, covariate, label = BLIND_KINDS
        return none if not (x or along) else covariate if mixture else label
    by_label = x_given_y or mixture  # the label does not explain what changed
    if y_given_x and by_label:
        return "concept"
    if x:
        return "covariate" if by_label or not (tested or y) else "label"
    if x_given_y:
        return "concept"  # the features are as before, and those of a label are not
    return "label" if y or (y_given_x and not by_label) else "none"


def _sentence(kind: str, labelled: bool, n_labels: int, *, mixture_tested: bool = True) -> str:
    said = {
        "none": "No difference between the domains was found; small ones may be there.",
        "covariate": "Covariate shift: the features differ, and no other shares of the labels explain it.",
        "label": "Label shift: other shares of the labels explain how the features differ.",
        "concept": "Concept shift: the relation of features to labels differs, and no other shares of the labels explain it.",
        "none or concept": "The features do not differ measurably.",
        "covariate or concept": "The features differ, and no other shares of the labels explain it: it is not label shift alone.",
        "label or other": "The features differ as they would with other shares of the labels: label shift explains it, and so may a covariate shift in the same direction.",
    }[kind]
    if not mixture_tested:
        said = UNTESTED.get(kind, said)
    if not labelled:
        return f"{said} {BLIND}"
    if kind == "covariate":
        return f"{said} The relation of features to labels does not differ measurably in {n_labels} labelled rows of the target."
    return said


def _same_labels(source: np.ndarray, target: np.ndarray, n_classes: int) -> tuple[float, float]:
    from scipy.stats import chi2_contingency, ks_2samp

    if not n_classes:
        found = ks_2samp(source, target)
        return float(found.statistic), float(found.pvalue)
    table = np.array([np.bincount(y.astype(np.int64), minlength=n_classes) for y in (source, target)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    statistic, p, *_ = chi2_contingency(table)
    return float(statistic), float(p)


def _same_relation(
    source: np.ndarray, y_source: np.ndarray, target: np.ndarray, y_target: np.ndarray, n_classes: int
) -> tuple[float, float]:
    """Test each class against the rest, the smallest p times their number."""
    if n_classes <= 2:
        return tests.same_given_features(source, y_source, target, y_target, binary=bool(n_classes))
    found = []
    for c in range(n_classes):
        one, other = (y_source == c).astype(float), (y_target == c).astype(float)
        if 0 < one.sum() < len(one):
            found.append(tests.same_given_features(source, one, target, other, binary=True))
    best = min(found, key=lambda pair: pair[1])
    return best[0], min(1.0, best[1] * len(found))
