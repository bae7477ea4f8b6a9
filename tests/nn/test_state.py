"""States as bytes: the same bits back, and nothing of another program."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl._data.store import read_model, write_model
from omicstl.models.factors.autoencoder import training
from omicstl.nn.state import pack, resumed, unpack
from omicstl.nn.train import State
from tests.support.networks import begin, finish, part_way, program, same


def state_of(carry) -> State:
    return begin(program())._replace(carry=carry)


def test_every_bit_comes_back():
    odd = np.array([0x7FC00001, 0xFFC12345, 0x00000001, 0x80000000, 0x7F800000], np.uint32).view(np.float32)
    carry = {
        "odd": odd,  # NaN with payloads, a denormal, minus zero, infinity
        "half": jnp.arange(3, dtype=jnp.bfloat16),
        "flags": jnp.array([True, False]),
        "none": None,
        "empty": jnp.zeros((0, 3)),
        "strided": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "scalar": np.int32(-5),
        "bytes": np.array([255], np.uint8),
    }
    state = state_of(jax.tree.map(np.asarray, carry))
    packed = pack(state)
    assert packed["bytes"].dtype == np.uint8
    assert same(unpack(state, packed), state)
    assert np.array_equal(np.asarray(unpack(state, packed).carry["odd"]).view(np.uint32), odd.view(np.uint32))
    assert unpack(state, packed).carry["none"] is None


def test_it_travels_by_file(tmp_path):
    p = program()
    state = part_way(p, 2, 7)
    write_model(tmp_path / "state.npz", {"kind": "state", "version": 1, **pack(state)})
    back = unpack(begin(p, 0), read_model(tmp_path / "state.npz"))  # of another member: only its shapes are read
    assert int(back.step) == 7
    assert same(back, state)
    assert same(finish(p, back), finish(p, begin(p, 2)))


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_run_that_has_ended(evaluated):
    p = program(evaluated=evaluated)
    state = finish(p, begin(p))
    assert same(finish(p, unpack(begin(p), pack(state))), state)


def test_networks_of_flax_and_states_of_optax():
    from omicstl._core.random import streams

    config = training.VaeProgram(n_in=4, n_latent=2, hidden=(3,), n_rows=9, batch_size=4, n_epochs=2)
    state = training.begin(config, streams(0), 1)
    again = unpack(training.begin(config, streams(0), 0), pack(state))
    assert same(again, state)
    assert jax.tree.structure(again) == jax.tree.structure(state)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda: begin(program(n_epochs=3)), r"float32 \(6, 2\) .history where float32 \(3, 2\) .history"),
        (lambda: begin(program(evaluated=False)), "best"),
        (lambda: state_of({"w": jnp.zeros(2, jnp.float32)}), r"it holds .* where float32 \(2,\) .carry\['w'\]"),
        (lambda: state_of(jax.tree.map(lambda a: a.astype(jnp.float16), begin(program()).carry)), "float16"),
    ],
)
def test_a_state_of_another_program_is_refused(other, text):
    packed = pack(part_way(program(), 0, 3))
    with pytest.raises(ValueError, match=text):
        unpack(other(), packed)
    with pytest.warns(UserWarning, match="begins at the first step"):
        state = resumed(other(), packed)
    assert int(state.step) == 0


def test_bytes_that_are_too_few_are_refused():
    p = program()
    packed = pack(begin(p))
    for content in (packed["bytes"][:-1], packed["bytes"].astype(np.int8)):
        with pytest.raises(ValueError, match=r"bytes are needed"):
            unpack(begin(p), {**packed, "bytes": content})
    with pytest.warns(UserWarning, match="left aside"):
        resumed(begin(p), {"other": 1})


def test_nothing_saved_is_the_start():
    first = begin(program())
    assert resumed(first, None) is first
    calls = [partial(resumed, first, pack(part_way(program(), 0, 4)))]
    assert int(calls[0]().step) == 4
