"""What a run that lost its numbers says: where, what, and what to try."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl.nn import samplers, train
from omicstl.nn.divergence import diverged
from omicstl.nn.train import Program
from tests.support.networks import begin, finish, program


def _step(bad, carry, data, batch, key):
    """Counts steps; from step `bad` on the second log is infinite."""
    return carry + 1, (10.0 + carry, jnp.where(carry >= bad, jnp.inf, 1.0))


def _evaluate(bad, carry, data):
    return jnp.where(carry >= bad, jnp.nan, carry)


def run(*, bad_step=99, bad_evaluation=99):
    p = Program(
        step=partial(_step, bad_step),
        sampler=partial(samplers.shuffled, n_rows=6, batch_size=2),
        logs=("loss", "kl"),
        steps_per_epoch=3,
        n_epochs=4,
        evaluate=partial(_evaluate, bad_evaluation),
    )
    state = train.start(p, jnp.zeros((), jnp.float32), np.zeros(2, np.uint32))
    for following in train.train(p, state, {}):
        state = following
    return p, jax.device_get(state)


def test_nothing_to_say():
    p, state = run()
    assert diverged(p, state) is None


@pytest.mark.parametrize(
    ("where", "epoch", "step", "last"),
    [
        (0, 1, 1, "It had no finite epoch."),
        (4, 2, 5, "Its last finite loss was 11, in epoch 1."),  # within an epoch: of 10, 11, 12
        (5, 2, 6, "Its last finite loss was 11, in epoch 1."),  # at the end of one
        (11, 4, 12, "Its last finite loss was 17, in epoch 3."),
    ],
)
def test_a_log_that_is_not_finite(where, epoch, step, last):
    p, state = run(bad_step=where)
    assert int(state.step) == step
    said = diverged(p, state)
    assert f"the network diverged in epoch {epoch} of 4, at step {step}: `kl` is inf. {last}" in said
    assert "`loss`" not in said


def test_an_evaluation_that_is_not_finite():
    p, state = run(bad_evaluation=6)
    said = diverged(p, state, name="member 3")
    assert (
        "Training of member 3 diverged in epoch 2 of 4, at step 6: the loss of the observations held out is nan" in said
    )


def test_what_to_try():
    p = program(rate=1e30)
    state = finish(p, begin(p))
    said = diverged(p, state, learning_rate=5e-4, largest=2e6)
    assert "`loss` is " in said
    assert "Training(learning_rate=5e-05) for 0.0005" in said
    assert "its largest absolute value was 2e+06, which is huge" in said
    assert "huge" not in diverged(p, state, largest=8.0)
    assert "clip extreme values" in diverged(p, state)
