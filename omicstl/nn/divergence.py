"""What to say when a run met a number that is not finite."""

from __future__ import annotations

import numpy as np

from .train import Program, State

HUGE = 1e3  # as standardised or log values no expression data reach it


def diverged(
    program: Program,
    state: State,
    *,
    name: str = "the network",
    learning_rate: float | None = None,
    largest: float | None = None,
) -> str | None:
    """
    Say where a run lost its numbers and what to try, or `None` if it did not.

    Parameters
    ----------
    program, state
        What was trained, and its last state.
    name
        Of the run, such as "member 3 of latent size 10".
    learning_rate
        The step size that was used.
    largest
        Largest absolute value of the data that the network saw.

    Returns
    -------
    Text for an error.
    """
    if bool(state.finite):
        return None
    step, per_epoch = int(state.step), program.steps_per_epoch
    epoch = (step - 1) // per_epoch  # of the step that was made last
    history, evaluated = np.asarray(state.history), np.asarray(state.evaluated)
    ended = step % per_epoch == 0
    sums = history[epoch] if ended else np.asarray(state.sums)
    bad = [f"`{log}` is {value:g}" for log, value in zip(program.logs, sums, strict=True) if not np.isfinite(value)]
    if not bad:
        bad = [f"the loss of the observations held out is {evaluated[epoch]:g}"]
    before = history[:epoch]
    last = f"Its last finite loss was {before[-1, 0]:.6g}, in epoch {epoch}." if epoch else "It had no finite epoch."
    lower = "a lower learning rate"
    if learning_rate is not None:
        lower = f"a lower learning rate, such as training=Training(learning_rate={learning_rate / 10:.1g}) for {learning_rate:g}"
    scale = "check the scale of the data"
    if largest is not None:
        scale += f" (its largest absolute value was {largest:.3g}{', which is huge' if largest > HUGE else ''})"
    return (
        f"Training of {name} diverged in epoch {epoch + 1} of {program.n_epochs}, at step {step}: {' and '.join(bad)}. {last} "
        f"Try {lower}; {scale}; clip extreme values, or drop the observations that hold them."
    )
