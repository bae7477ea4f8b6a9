"""What verbs promise of JAX: the user's flags do not matter and stay, nothing compiles twice, and seeds decide."""

from __future__ import annotations

import jax
import jax.monitoring
import numpy as np
import pytest

import omicstl as otl
from omicstl.kernels import elastic_net
from omicstl.models.factors.plier import loop
from tests.contract.cases import CASES, N_OBS, N_VARS, cohort, fitted, gene_sets, plier
from tests.support.snapshots import changes, snapshot

every_verb = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
EVENT = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def compiled():
    """Counts compilations from here on; `seen()` says how many there were since the last call."""
    events = []

    def listen(event: str, duration: float, **more: object) -> None:
        if event == EVENT:
            events.append(event)

    def seen() -> int:
        count = len(events)
        events.clear()
        return count

    jax.monitoring.register_event_duration_secs_listener(listen)
    return seen


def test_the_count_of_compilations_counts(compiled):
    compiled()
    jax.jit(lambda x: x * 3 + 1)(np.ones(7))
    assert compiled() > 0


@every_verb
def test_the_users_x64_flag_changes_nothing_and_stays(case):
    answers = {}
    before = jax.config.jax_enable_x64
    try:
        for flag in (False, True):
            jax.config.update("jax_enable_x64", flag)
            adata = case.make()
            case.call(adata)
            assert jax.config.jax_enable_x64 is flag
            assert jax.numpy.ones(1).dtype == (np.float64 if flag else np.float32)
            answers[flag] = snapshot(adata)
    finally:
        jax.config.update("jax_enable_x64", before)
    assert not changes(answers[False], answers[True])


def test_the_users_matmul_precision_changes_nothing_and_stays():
    answers = []
    for precision in (None, "bfloat16"):
        with jax.default_matmul_precision(precision):
            adata = cohort()
            plier(adata)
            assert jax.config.jax_default_matmul_precision == precision
            answers.append(snapshot(adata))
    assert not changes(*answers)


@every_verb
def test_nothing_compiles_twice(case, compiled):
    case.call(case.make())
    compiled()
    case.call(case.make())
    assert compiled() == 0


@pytest.mark.parametrize(
    "options", [{"rng": 7}, {"max_iter": 45}, {"annotated_fraction": 0.5}, {"n_factors": 3}, {"init": "random"}]
)
def test_other_values_compile_nothing(options, compiled):
    plier(cohort())
    compiled()
    plier(cohort(), **options)
    assert compiled() == 0


def test_data_of_a_similar_size_compile_nothing(compiled):
    """Other data, two observations fewer, a few genes fewer: the same bucket."""
    plier(cohort())
    other, truth = otl.datasets.simulate_pathways(N_OBS - 2, N_VARS, n_sets=12, n_factors=3, rng=5)
    compiled()
    otl.tl.plier(other, truth.gene_sets, n_factors=4, max_iter=60, tol=1e-3)
    assert compiled() == 0


def test_stability_runs_on_the_program_of_the_fit(compiled):
    adata = fitted()
    plier(cohort())
    compiled()
    otl.tl.stability(adata, n_refits=2)
    assert compiled() == 0


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.seeded], ids=lambda case: case.verb)
def test_another_seed_is_another_answer_and_a_seed_can_be_given_in_any_form(case):
    answers = {}
    for name, rng in {"0": 0, "int64": np.int64(0), "1": 1, "sequence": np.random.SeedSequence(5)}.items():
        adata = case.make()
        case.call(adata, rng=rng)
        answers[name] = snapshot(adata)
        entry = adata.uns[case.key]
        entry = entry.get("stability", entry)
    assert not changes(answers["0"], answers["int64"])
    assert changes(answers["0"], answers["1"])
    again = case.make()
    case.call(again, rng=int(entry["params"]["seed"]))  # what was noted repeats the run
    assert not changes(answers["sequence"], snapshot(again))


def test_the_seed_of_a_fit_decides_the_holdouts_alone():
    """The start is that of the data, so another seed moves the answer through the hold-outs."""
    one, two = cohort(), cohort()
    plier(one, rng=0)
    plier(two, rng=1)
    a, b = otl.get.model(one), otl.get.model(two)
    assert (a.heldout != b.heldout).any()
    assert a.score_penalty == b.score_penalty
    np.testing.assert_array_equal(a.mean, b.mean)


def test_a_working_set_that_is_too_small_grows_to_the_same_answer(monkeypatch):
    """The first set of coordinates is smaller than what some factor needs."""
    large, small, sizes = cohort(), cohort(), []
    plier(large, set_penalty=1e-4)
    real = elastic_net.start

    def start(gram, k, size):
        sizes.append(size)
        return real(gram, k, size)

    monkeypatch.setattr(elastic_net, "start", start)
    monkeypatch.setattr(loop, "WORKING_SET", 2)
    plier(small, set_penalty=1e-4)
    assert sizes[:2] == [2, 4]
    a, b = otl.get.model(large), otl.get.model(small)
    np.testing.assert_allclose(a.weights, b.weights, atol=1e-4)
    np.testing.assert_allclose(a.loadings, b.loadings, atol=1e-3)


def test_gene_sets_in_any_form_give_one_answer(tmp_path):
    otl.io.write_gmt(tmp_path / "sets.gmt.gz", gene_sets())
    answers = []
    for sets in (gene_sets(), tmp_path / "sets.gmt.gz"):
        adata = cohort()
        otl.tl.plier(adata, sets, n_factors=4, max_iter=60, tol=1e-3)
        answers.append(snapshot(adata))
    assert not changes(*answers)
