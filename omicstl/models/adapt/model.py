"""A fitted transfer to a target domain whose every step is linear: what predicts new observations of that domain."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from omicstl.models.transfer.heads import TASKS, Task, probabilities

ROWS = 4096  # observations that are predicted at a time


@dataclass(frozen=True, eq=False, repr=False)
class AdaptModel:
    """Heads on aligned variables, folded into the target's own variables. Variables p, outputs c, latent variables k."""

    kind: ClassVar[str] = "adapt"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    names: np.ndarray  # (k,) of the latent variables
    outputs: np.ndarray  # classes, or columns of several labels or numbers
    task: str
    method: str
    coefficients: np.ndarray  # (p, c) of the variables as they are measured in the target
    intercept: np.ndarray  # (c,)
    components: np.ndarray  # (p, k)
    offset: np.ndarray  # (k,)
    n_obs: int  # labelled observations that it was learnt from

    def __repr__(self) -> str:
        return (
            f"AdaptModel: {self.task} by {self.method}, {self.features.size} variables, outputs {', '.join(map(str, self.outputs[:5]))}"
            f"{', ...' if self.outputs.size > 5 else ''}, learnt from {self.n_obs} labelled observations"
        )

    def decide(self, x: np.ndarray) -> np.ndarray:
        """Linear predictors (n, c) float64 of rows (n, p) of the target's kind."""
        return np.concatenate(
            [
                np.asarray(x[low : low + ROWS], np.float64) @ self.coefficients + self.intercept
                for low in range(0, max(len(x), 1), ROWS)
            ]
        )

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Numbers (n, t), or probabilities: two columns for two classes, one for each class or label else."""
        decision = self.decide(x)
        if self.task == "regression":
            return decision
        return probabilities(Task(self.task, self.outputs), decision)

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Latent variables (n, k) float32."""
        return (np.asarray(x, np.float64) @ self.components + self.offset).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return {"kind": self.kind, "version": self.version} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> AdaptModel:
        """Rebuild from the stored form, with every shape checked against the others."""
        p, k = len(tree["features"]), len(tree["names"])
        task = str(tree["task"])
        c = 1 if task == "binary" else len(tree["outputs"])
        shapes: dict[str, tuple[int, ...]] = {
            "coefficients": (p, c),
            "intercept": (c,),
            "components": (p, k),
            "offset": (k,),
        }
        wrong = {name: np.shape(tree[name]) for name, shape in shapes.items() if np.shape(tree[name]) != shape}
        if wrong or task not in TASKS:
            what = f"{next(iter(wrong))} has shape {next(iter(wrong.values()))}" if wrong else f"its task is {task!r}"
            msg = f"The model of an adaptation is damaged: {what}."
            raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)}
        for name in ("features", "names", "outputs"):
            parts[name] = np.asarray(parts[name], dtype=object)
        return cls(**(parts | {"task": task, "method": str(tree["method"]), "n_obs": int(tree["n_obs"])}))
