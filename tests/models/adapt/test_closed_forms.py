"""Domains brought together: closed forms, weights of sources, choice without target labels, safeguard."""

from dataclasses import replace

import numpy as np
import pytest

from omicstl._core.random import streams
from omicstl.kernels.coral import coral
from omicstl.models.adapt import fit as adapt_fit, methods, safeguard, selection, spaces
from omicstl.models.adapt.closed_forms.coral import Coral
from omicstl.models.adapt.closed_forms.linear_transport import LinearTransport
from omicstl.models.adapt.closed_forms.subspace_alignment import SubspaceAlignment
from omicstl.models.adapt.closed_forms.unaligned import Unaligned
from omicstl.models.adapt.closed_forms.zscore import ZScore
from omicstl.models.adapt.model import AdaptModel
from omicstl.models.adapt.problem import Domain, Problem
from omicstl.models.adapt.source_weights import NOT_MEASURED, ON_SOURCES, ON_TARGET, enough, source_weights
from omicstl.models.kinds import from_dict
from omicstl.models.transfer import heads
from omicstl.models.transfer.heads import BINARY, MULTILABEL, MULTINOMIAL, REGRESSION, Task
from omicstl.models.transfer.scores import skill

P, K = 40, 5
RANDOM = streams(0)


def domain(name, n, seed, *, beta, shift=0.0, kind=BINARY, loadings=None, noise=1.0):
    """Variables from latent ones, labels from these; `shift` is what the platform adds."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).normal(size=(K, P)) if loadings is None else loadings
    f = rng.normal(size=(n, K))
    eta = f @ np.asarray(beta, float)
    if kind == BINARY:
        y = (eta + rng.logistic(size=n) * 0.5 > 0).astype(float)[:, None]
    elif kind == REGRESSION:
        y = (eta + 0.5 * rng.normal(size=n))[:, None]
    elif kind == MULTINOMIAL:
        y = (np.column_stack([eta, -eta, f @ np.roll(beta, 1)]) + rng.gumbel(size=(n, 3)) * 0.5).argmax(axis=1)[:, None]
        y = y.astype(float)
    else:
        y = (np.column_stack([eta, f @ np.roll(beta, 1)]) + rng.logistic(size=(n, 2)) * 0.5 > 0).astype(float)
    x = f @ loadings + noise * rng.normal(size=(n, P)) + shift * np.random.default_rng(7).normal(size=P)
    return Domain(name, x, y)


BETA = np.array([2.0, -2, 1, 0, 0])
NAMES = {BINARY: 2, REGRESSION: 1, MULTINOMIAL: 3, MULTILABEL: 2}


def problem(kind=BINARY, *, sources=(("a", 80, 1, BETA),), labels=0, target=50, flip=1.0, shift=3.0):
    many = tuple(domain(name, n, seed, beta=b, kind=kind) for name, n, seed, b in sources)
    goal = domain("t", target, 50, beta=flip * BETA, shift=shift, kind=kind)
    truth = goal.y.copy()
    goal.y[labels:] = np.nan
    task = Task(kind, np.array([f"o{i}" for i in range(NAMES[kind])], dtype=object))
    return Problem(many, goal, task, np.array([f"g{i}" for i in range(P)], dtype=object)), truth


def fit(given, options, weights=None):
    prepared = options.prepare(given.hidden(), RANDOM)
    return prepared, options.fit(prepared, given, np.ones(len(given.sources)) if weights is None else weights)


CLOSED = [Unaligned(), ZScore(), ZScore(scale=False), Coral(), Coral(shrinkage=0.2), LinearTransport()]
CLOSED += [SubspaceAlignment(), SubspaceAlignment(n_comps=4, scale=False)]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("options", CLOSED, ids=repr)
def test_the_model_says_of_the_target_what_the_fit_says(kind, options):
    given, truth = problem(kind)
    prepared, found = fit(given, options)
    model = found.model
    np.testing.assert_allclose(given.target.x @ prepared.matrix + prepared.offset, prepared.target, atol=1e-8)
    np.testing.assert_allclose(model.decide(given.target.x), found.target, atol=1e-6)
    np.testing.assert_allclose(model.embed(given.target.x), found.latent_target, atol=1e-3)
    assert skill(given.task, found.target, truth).value > 0.5
    again = from_dict(model.to_dict())
    np.testing.assert_array_equal(again.predict(given.target.x), model.predict(given.target.x))


def test_z_scores_and_coral_are_what_they_say():
    given, _ = problem()
    z, _ = fit(given, ZScore())
    pooled = np.vstack([z.sources[0], z.target])
    for rows, other in ((given.sources[0].x, z.sources[0]), (given.target.x, z.target)):
        scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        np.testing.assert_allclose(scaled @ scaled.T, other @ other.T, atol=1e-8)  # a rotation
    matrix, offset = coral(z.sources[0], z.target)
    aligned, _ = fit(given, Coral())
    np.testing.assert_allclose(aligned.sources[0], z.sources[0] @ matrix + offset, atol=1e-8)
    assert pooled.shape[1] == P


def test_what_does_not_vary_in_a_domain_says_nothing_there():
    given, _ = problem()
    given.target.x[:, 0] = 5.0
    given.sources[0].x[:, 1] = 2.0
    for options in CLOSED:
        prepared, found = fit(given, options)
        assert np.isfinite(found.target).all(), options
        assert np.isfinite(prepared.matrix).all()


def test_spreads_of_few_rows_are_drawn_towards_the_sources():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 2, 300)
    source, target = (truth * rng.negative_binomial(0.5, 0.5, (n, 300)) for n in (200, 30))
    found = spaces.steady_spread([source[:120], source[120:] + 7], target)  # levels of the sources do not matter
    own = target.std(axis=0)
    assert np.abs(np.log(found / truth)).mean() < 0.6 * np.abs(np.log(own / truth)).mean()  # the counts have variance 1
    scale = 10.0 ** rng.uniform(-3, 3, 300)  # spreads that do differ
    np.testing.assert_allclose(spaces.steady_spread([source * scale], target), own, rtol=0.15)


def test_spreads_are_what_the_formula_says():
    rng = np.random.default_rng(1)
    source, target = rng.gamma(1.0, size=(50, 8)), rng.gamma(1.0, size=(12, 8)) * np.geomspace(1, 3, 8)
    target[:, 3] = 2.0  # says nothing of its spread
    found = spaces.steady_spread([source], target)
    used = [j for j in range(8) if j != 3]
    ratio, excess = {}, []
    for j in used:
        a, b = source[:, j] - source[:, j].mean(), target[:, j] - target[:, j].mean()
        ratio[j] = np.log(np.mean(b**2) / np.mean(a**2))
        excess.append(np.mean(a**4) / np.mean(a**2) ** 2 - 1)
    middle = sum(ratio.values()) / 7
    shown = sum((r - middle) ** 2 for r in ratio.values()) / 7
    share = min(1, np.mean(excess) * (1 / 50 + 1 / 12) / shown)
    assert 0 < share < 1
    for j in used:
        log_variance = np.log(target[:, j].var()) - share * 50 / 62 * (ratio[j] - middle)
        assert found[j] == pytest.approx(np.exp(log_variance / 2), rel=1e-12)
    assert found[3] == 0


def test_labels_of_target_rows_reach_the_head_and_not_the_alignment():
    given, truth = problem(labels=30)
    shown, blind = (Coral().prepare(g, RANDOM) for g in (given, given.hidden()))
    np.testing.assert_array_equal(shown.sources[0], blind.sources[0])
    one, two = (Coral().fit(shown, g, np.ones(1)) for g in (given, given.hidden()))
    assert np.abs(one.model.coefficients - two.model.coefficients).max() > 1e-4
    assert one.model.n_obs == 110
    alone = ZScore().fit(ZScore().prepare(given, RANDOM), given, np.zeros(1))
    assert alone.model.n_obs == 30


def test_a_harmful_third_source_has_no_weight():
    harmful = (("a", 80, 1, BETA), ("b", 80, 2, BETA), ("c", 80, 3, -BETA))
    for labels, where in ((0, ON_SOURCES), (40, ON_TARGET)):
        given, _ = problem(sources=harmful, labels=labels)
        found = source_weights(fit(given, ZScore())[0], given)
        assert found.measured_on == where
        assert found.weights[2] < 0.1
        assert found.weights[:2].min() > 0.5
        assert found.weights.max() <= 1


@pytest.mark.parametrize("kind", [BINARY, REGRESSION])
def test_a_source_that_contradicts_the_others_has_no_part_in_the_choice(kind):
    """The same table and interval as if it were not there; without that every alignment looks harmful."""
    good = (("a", 80, 1, BETA), ("b", 80, 2, BETA))
    two, _ = problem(kind, sources=good)
    three, _ = problem(kind, sources=(*good, ("c", 80, 3, -BETA)))
    for options in (None, SubspaceAlignment(n_comps=2)):
        ours, others = (adapt_fit.fit(given, options, True, streams(4)) for given in (three, two))
        assert ours.weights.weights[2] == 0
        assert (ours.method, ours.used) == (others.method, others.used)
        np.testing.assert_allclose([one.value for one in ours.scores], [one.value for one in others.scores], atol=1e-8)
        assert ours.scores[0].between.value > 0
        if options is not None:
            assert ours.guard.gap.high == pytest.approx(others.guard.gap.high, abs=1e-8)


def test_sources_that_cannot_be_judged_count_in_full():
    one, _ = problem()
    assert source_weights(fit(one, ZScore())[0], one).measured_on == NOT_MEASURED
    two, _ = problem(sources=(("a", 80, 1, BETA), ("b", 80, 2, -BETA)))
    found = source_weights(fit(two, ZScore())[0], two)
    np.testing.assert_array_equal(found.weights, [1, 1])
    assert found.skill.max() < 0


def test_enough_labels_to_judge():
    task = Task(BINARY, np.array(["a", "b"], dtype=object))
    y = np.repeat([0.0, 1.0], [16, 4])[:, None]
    assert not enough(task, y)
    assert enough(task, np.vstack([y, [[1.0]]]))
    assert not enough(Task(REGRESSION, np.array(["a"], dtype=object)), np.arange(19.0)[:, None])
    blocks = np.arange(21) % 5
    assert enough(task, np.vstack([y, [[1.0]]]), blocks)
    assert not enough(task, np.vstack([y, [[1.0]]]), np.minimum(blocks, 3))


def test_folds_of_few_labels_weigh_sources_by_these_labels():
    """22 labels are enough, so that the 17 or 18 of a fold are, too: a source with the opposite relation has no weight there."""
    given, _ = problem(labels=22, flip=-1.0, sources=(("a", 150, 1, BETA),))
    assert enough(given.task, given.target.y)
    method = ZScore()
    prepared = method.prepare(given.hidden(), RANDOM)
    lone = spaces.target_alone(given, RANDOM)
    transfer, alone = safeguard.held_out(method, prepared, prepared, lone, given, RANDOM)
    np.testing.assert_array_equal(transfer, alone)
    assert alone[:22].std() > 0


@pytest.mark.parametrize("kind", NAMES)
def test_the_choice_sees_no_label_of_the_target(kind):
    given, truth = problem(kind, labels=30, sources=(("a", 60, 1, BETA), ("b", 60, 2, BETA)))
    shuffled = replace(given, target=given.target._replace(y=given.target.y[::-1]))
    first, second = (selection.select(g, RANDOM) for g in (given, shuffled))
    assert first.chosen == second.chosen
    for a, b in zip(first.scores, second.scores, strict=True):
        np.testing.assert_array_equal(a.back, b.back)
        np.testing.assert_array_equal(a.across, b.across)
        assert a[:3] == b[:3]
        assert a.value == min(one.value for one in a[:3])


def with_a_nuisance():
    """Four directions of the target that sources do not have, and that are its principal axes."""
    given, truth = problem(target=60, shift=0.0)
    rng = np.random.default_rng(0)
    given.target.x[:] += 3 * rng.normal(size=(60, 4)) @ rng.normal(size=(4, P))
    return given, truth


def test_an_alignment_that_destroys_is_not_chosen():
    given, _ = with_a_nuisance()
    found = selection.select(given, RANDOM, (SubspaceAlignment(n_comps=2), Unaligned()))
    assert found.chosen == 1
    assert found.scores[0].value < 0.3 < found.scores[1].value


def test_the_safeguard_keeps_a_good_transfer_and_drops_a_bad_one():
    good, truth = problem(labels=24, sources=(("a", 150, 1, BETA),))
    kept = adapt_fit.fit(good, ZScore(), True, RANDOM)
    assert not kept.fell_back
    assert kept.guard.gap.mean > 0
    assert kept.weights.weights[0] == 1
    bad, truth = problem(labels=40, flip=-1.0, sources=(("a", 150, 1, BETA),), target=80)
    dropped = adapt_fit.fit(bad, Coral(), True, RANDOM)
    assert not dropped.used_weights.any()
    assert skill(bad.task, dropped.fitted.target[40:], truth[40:]).value > 0.3
    alone = ZScore().fit(spaces.target_alone(bad, RANDOM), bad, np.zeros(1))
    np.testing.assert_allclose(dropped.fitted.target[40:], alone.target[40:], atol=1e-8)


def test_without_labels_an_alignment_that_destroys_is_replaced_by_none():
    given, _ = with_a_nuisance()
    options = SubspaceAlignment(n_comps=2)
    found = adapt_fit.fit(given, options, True, RANDOM)
    assert (found.method, found.used, found.fell_back) == ("subspace_alignment", "none", True)
    assert found.guard.gap.high < 0
    kept = adapt_fit.fit(given, options, False, RANDOM)
    assert (kept.used, kept.fell_back) == ("subspace_alignment", False)


def test_a_held_out_row_is_predicted_without_its_label(monkeypatch):
    monkeypatch.setattr(safeguard, "FEW", 0)  # one draw of folds
    given, _ = problem(REGRESSION, labels=40, sources=(("a", 60, 1, BETA), ("b", 60, 2, BETA)))
    method = ZScore()
    prepared = method.prepare(given, RANDOM)
    fold = heads.folds(np.zeros(40), None, heads.FOLDS, RANDOM.generator("folds", 0))
    changed = given.target.y.copy()
    changed[np.flatnonzero(fold == 0)] += 5
    other = replace(given, target=given.target._replace(y=changed))
    one, two = (safeguard.held_out(method, prepared, prepared, prepared, g, RANDOM) for g in (given, other))
    rows = np.arange(40)[fold == 0]
    for before, after in zip(one, two, strict=True):
        np.testing.assert_array_equal(before[rows], after[rows])
        assert np.abs(before - after).max() > 1e-3
        assert not before[40:].any()


def test_several_kinds_of_labels_pass_the_safeguard():
    for kind in NAMES:
        given, truth = problem(kind, labels=40, sources=(("a", 60, 1, BETA), ("b", 50, 2, BETA)), target=60)
        found = adapt_fit.fit(given, Coral(), True, RANDOM)
        assert np.isfinite([found.guard.gap.low, found.guard.gap.high]).all(), kind
        assert skill(given.task, found.fitted.target[40:], truth[40:]).value > 0.5, kind


def test_more_axes_than_observations_are_refused():
    given, _ = problem(target=6)
    with pytest.raises(ValueError, match="`n_comps` must be at most 5"):
        SubspaceAlignment(n_comps=6).prepare(given, RANDOM)


def test_a_damaged_model_is_refused():
    model = fit(problem()[0], ZScore())[1].model
    assert isinstance(model, AdaptModel)
    assert "binary by" in repr(model)
    for change in ({"coefficients": np.zeros((3, 1))}, {"task": "ranking"}):
        with pytest.raises(ValueError, match="damaged"):
            AdaptModel.from_dict(model.to_dict() | change)


def test_every_method_has_a_name():
    known = methods.named()
    assert all(cls().name == name for name, cls in known.items())
    assert {"none", "zscore", "coral", "linear_transport", "subspace_alignment"} == {
        name for name, cls in known.items() if methods.method_of(cls()).closed
    }


def test_candidates_go_from_nothing_to_most():
    assert selection.all_candidates() == (Unaligned(), ZScore(), Coral(), LinearTransport(), SubspaceAlignment())
