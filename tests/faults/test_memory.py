"""A limit of memory: the right answer, or an error that says what to change; never an abort, and the object stays as it was."""

from __future__ import annotations

import errno
import sys

import numpy as np
import pytest

import omicstl as otl
from omicstl._core import memory
from omicstl._core.memory import NEEDS, MemoryLimitError, check_compiler, check_room, out_of_memory
from tests.contract._house import public_functions
from tests.contract.cases import cohort


class JaxRuntimeError(RuntimeError):
    """As jax has it."""


def numpy_error() -> MemoryError:
    try:
        np.ones((2**24, 2**24))
    except MemoryError as error:
        return error
    pytest.fail("this machine has 2 PiB of memory")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), r"^otl\.tl\.plier ran out of memory\. Beside"),
        (MemoryError("no room for `x`."), r"memory: no room for `x`\. Beside"),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 6442450944 bytes."), r"an array of 6\.0 GiB found no room"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "libx.so"),
        (RuntimeError("can't start new thread"), "new thread"),
    ],
)  # fmt: skip
def test_errors_of_memory_become_one_that_says_what_to_change(error, said) -> None:
    own = out_of_memory(error, "tl.plier", ["adata", "layer"])
    assert isinstance(own, MemoryError)
    with pytest.raises(MemoryLimitError, match=said):
        raise own
    assert "n_vars² numbers" in str(own)
    assert "adata[:, adata.var['highly_variable']]" in str(own)
    assert str(own).endswith("`adata` is unchanged.")
    assert out_of_memory(own, "tl.plier") is None  # not a second time


def test_an_array_of_numpy_is_named_by_shape_and_size() -> None:
    own = out_of_memory(numpy_error(), "metrics.domain_distance", ["adata", "max_obs", "n_permutations"])
    assert "an array of 16,777,216 × 16,777,216 float64 (2,097,152.0 GiB) found no room" in str(own)
    assert "a smaller `max_obs`; or a smaller `n_permutations`" in str(own)


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("no"), OSError(errno.ENOSPC, "full"), ImportError("no x")]
)
def test_other_errors_are_left_alone(error) -> None:
    assert out_of_memory(error, "tl.plier") is None


def test_what_functions_need_is_said_of_functions_that_are_there() -> None:
    known = dict(public_functions())
    assert set(NEEDS) <= set(known)
    assert {name for name in known if name.startswith(("tl.", "pp."))} <= set(NEEDS)


def test_work_without_room_is_refused_before_it_starts(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_left", lambda: None)
    check_room(2**60)
    monkeypatch.setattr(memory, "_left", lambda: 100 * 2**20)
    check_room()
    with pytest.raises(
        MemoryError, match=r"compiling needs .* MiB, and the limit of the process \(ulimit -v\) leaves 100\.0 MiB"
    ):
        check_compiler()


PROGRAM = """
import inspect, resource, sys
import numpy as np, jax
import omicstl as otl
from omicstl._core.memory import MemoryLimitError
from tests.contract.cases import CASES, results
from tests.support.snapshots import changes, snapshot

jax.numpy.zeros(3).block_until_ready()
page, soft = resource.getpagesize(), resource.RLIM_INFINITY

def limited(call, extra):
    now = int(open("/proc/self/statm").read().split()[0]) * page
    resource.setrlimit(resource.RLIMIT_AS, (now + extra * 2**20, soft))
    try:
        return call()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, soft))

for name in sys.argv[1:]:
    case = CASES[name]
    for extra in (8, 70, 120):  # too little for a library; for a compiler; hardly enough
        adata = case.make()
        before = snapshot(adata)
        try:
            limited(lambda: case.call(adata), extra)
        except Exception as error:
            own = isinstance(error, MemoryLimitError) or "limit of the process" in str(error)
            assert own, (name, extra, repr(error))
            assert not changes(before, snapshot(adata)), (name, extra)
            print(name, extra, "refused")
        else:
            print(name, extra, "done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept on Linux only")
@pytest.mark.parametrize("name", ["tl.plier", "tl.vae", "tl.deepprofile", "pp.gene_modules"])
def test_below_any_limit_is_the_answer_or_an_error_of_ours(name, run_python) -> None:
    said = run_python(f"import sys; sys.argv = ['', {name!r}]\n{PROGRAM}")
    assert f"{name} 8 refused" in said
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: otl.metrics.domain_distance(x, domain_key="d", n_permutations=10**6), "`n_permutations` must be .* <= 100000"),
        (lambda x: otl.metrics.transferability(x, label_key="d", n_permutations=10**6), "`n_permutations` must be .* <= 100000"),
        (lambda x: otl.metrics.latent_stability(x, x, n_permutations=10**6), "`n_permutations` must be .* <= 100000"),
        (lambda x: otl.metrics.label_shift(x, domain_key="d", label_key="d", n_resamples=10**6), "`n_resamples` must be .* <= 100000"),
        (lambda x: otl.tl.stability(x, n_refits=10**6), "`n_refits` must be .* <= 10000"),
        (lambda x: otl.tl.adapt(x, domain_key="d", label_key="y", method="dann", n_members=10**6), "`n_members` must be .* <= 10000"),
        (lambda x: otl.tl.plier(x, {"a": ["b"]}, max_iter=10**9), "`max_iter` must be .* <= 100000"),
        (lambda x: otl.tl.Training(epochs=10**9), "`epochs` must be .* <= 100000"),
    ],
)  # fmt: skip
def test_loops_that_an_argument_makes_long_have_a_bound(call, said) -> None:
    adata = cohort()
    adata.obs["d"] = ["s", "t"] * (adata.n_obs // 2)
    adata.obs["y"] = adata.obs["d"]
    with pytest.raises(ValueError, match=said):
        call(adata)
