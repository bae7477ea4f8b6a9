"""Novelty, nearest lines and kinds of clusters on cells whose origin is known."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import drawn_of, simulate

from omicstl._core.random import streams
from omicstl.models.response import novelty


def z_of(x):
    x = np.asarray(x, float)
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


@pytest.fixture(scope="module")
def sim():
    return simulate(11, n=200, m=300, p=400, umi=3000)


def of_sim(sim, rows, seed, n_per_line=12):
    return drawn_of(sim.x[rows], sim.cells, streams(seed), n_per_line, background=sim.x, totals=sim.totals)


@pytest.fixture(scope="module")
def space(sim):
    _, _, vt = np.linalg.svd(z_of(sim.x), full_matrices=False)
    return vt[:30].T


@pytest.fixture(scope="module")
def seen(sim, space):
    drawn = of_sim(sim, np.arange(100), 0)
    return novelty.reference(z_of(sim.x) @ space, z_of(drawn.x) @ space, drawn.line, sim.lineage)


def test_cells_like_the_lines_are_not_novel_and_foreign_ones_are(sim, space, seen):
    like = of_sim(sim, np.arange(100, 200), 5)
    foreign = like.x.copy()
    rng = np.random.default_rng(0)
    odd = rng.random(len(foreign)) < 0.1
    # A tenth of the cells switch programmes on that no line has, along the space of the lines.
    foreign[odd] += 5 * (space[:, :20] @ rng.normal(size=20)) * like.x.std(0)
    z = (foreign - like.x.mean(0)) / like.x.std(0)
    found = novelty.novelty(z @ space, seen)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[~odd] > novelty.FAR).mean() < 0.05
    assert (found[odd] > novelty.FAR).mean() > 0.9


def test_novelty_is_a_quantile_by_counting(sim, space, seen):
    latent = z_of(sim.cells)[:8] @ space  # so few that nothing is averaged
    lines = (z_of(sim.x) @ space)[:, :20]
    code = novelty.groups(lines)
    means = np.array([lines[code == i].mean(axis=0) for i in range(code.max() + 1)])
    found = novelty.novelty(latent, seen)
    # By hand: pseudo-cells of the first 100 lines, whose lineage is left out of each mean.
    drawn = of_sim(sim, np.arange(100), 0)
    pseudo = (z_of(drawn.x) @ space)[:, :20]
    distances = []
    for i in range(100):
        others = sim.lineage != sim.lineage[i]
        kept = [lines[(code == j) & others] for j in range(code.max() + 1)]
        centres = np.array([rows.mean(axis=0) for rows in kept if len(rows) >= 3])
        for point in pseudo[drawn.line == i]:
            distances.append(np.sort(np.linalg.norm(centres - point, axis=1))[:3].mean())
    for i, cell in enumerate(latent[:, :20]):
        distance = np.sort(np.linalg.norm(means - cell, axis=1))[:3].mean()
        assert found[i] == pytest.approx((np.array(distances) < distance).mean(), abs=0.003)


def test_what_is_kept_of_lines_are_groups_of_five(sim, space, seen):
    lines = (z_of(sim.x) @ space)[:, :20]
    code = novelty.groups(lines)
    size = np.bincount(code)
    assert size.min() >= 5
    assert size.max() < 10
    assert seen.centres.shape == (size.size, 20)
    within = np.concatenate([lines[code == i] - lines[code == i].mean(axis=0) for i in range(size.size)])
    at_random = np.random.default_rng(0).permutation(code)
    mixed = np.concatenate([lines[at_random == i] - lines[at_random == i].mean(axis=0) for i in range(size.size)])
    assert (within**2).sum() < 0.85 * (mixed**2).sum()  # lines of a group are near each other
    assert np.bincount(novelty.groups(lines[:9])).tolist() == [9]
    assert np.bincount(novelty.groups(np.zeros((11, 3)))).tolist() == [6, 5]


@pytest.mark.parametrize("alone", [False, True])
def test_cells_of_unseen_lineages_have_uniform_novelty(sim, space, alone):
    lines = z_of(sim.x) @ space
    held = sim.lineage == sim.lineage[0]
    train, rest = np.flatnonzero(~held), np.flatnonzero(held)
    drawn = of_sim(sim, train, 0)
    seen = novelty.reference(lines[train], z_of(drawn.x) @ space, drawn.line, sim.lineage[train])
    own = of_sim(sim, rest, 1, 1 if alone else 12)
    z = (own.x - drawn.x.mean(axis=0)) / (drawn.x.std(axis=0) + 1e-6) @ space
    found = np.concatenate([novelty.novelty(z[own.line == i], seen) for i in range(rest.size)])
    assert 0.3 < found.mean() < 0.7
    assert (found > novelty.FAR).mean() < 0.06


def test_equal_distances_are_no_novelty():
    seen = novelty.Novelty(np.zeros((2, 3)), np.ones((2, 257)))
    point = np.array([[1.0, 0.0, 0.0]])
    assert novelty.novelty(point, seen)[0] == 0
    assert novelty.novelty(1.1 * point, seen)[0] == 1


def test_left_out_lineages_do_not_count_for_themselves(sim, space):
    lines = z_of(sim.x) @ space
    alone = novelty.reference(lines, lines, np.arange(200))
    by_lineage = novelty.reference(lines, lines, np.arange(200), sim.lineage)
    assert by_lineage.quantiles.mean() > alone.quantiles.mean() > 0
    one = novelty.reference(lines, lines, np.arange(200), np.full(200, "lung"))
    np.testing.assert_allclose(one.quantiles, alone.quantiles)


@pytest.mark.parametrize("scaled", [False, True])
def test_lines_and_lineages_of_clusters(sim, scaled):
    rows = np.arange(12)
    drawn = of_sim(sim, rows, 3, 40)
    x = z_of(drawn.x) if scaled else drawn.x
    means = np.stack([x[drawn.line == i].mean(0) for i in rows])
    names = np.array([f"LINE-{i}" for i in range(200)])
    found = novelty.nearest(np.arange(12).astype(str), means, np.full(12, 40), sim.x, names, sim.lineage, scaled=scaled)
    assert (found.lines[:, 0] == names[:12]).mean() > 0.9
    assert (found.own_line == names[:12]).mean() > 0.8
    assert (found.lineage == sim.lineage[:12]).mean() > 0.5
    assert (np.diff(found.correlation, axis=1) <= 0).all()
    rest = np.arange(12, 200)
    without = novelty.nearest(
        np.arange(12).astype(str), means, np.full(12, 40), sim.x[rest], names[rest], sim.lineage[rest], scaled=scaled
    )
    assert (without.own_line == "").mean() > 0.8
    assert not set(without.lines.ravel()) & set(names[:12])


def test_one_cluster_of_z_scores_says_nothing(sim):
    means = np.zeros((1, 400))
    found = novelty.nearest(np.array(["0"]), means, np.array([50]), sim.x, np.arange(200).astype(str), scaled=True)
    assert found.lines[0, 0] == found.own_line[0] == found.lineage[0] == ""


def test_kinds_of_clusters_by_markers():
    rng = np.random.default_rng(0)
    genes = np.array([*novelty.MARKERS["immune"], *novelty.MARKERS["fibroblast"], *(f"G{i}" for i in range(50))])
    counts = rng.poisson(0.1, (400, genes.size)).astype(float)
    counts[:, -50:] = rng.poisson(3, (400, 50))
    cluster = np.repeat(["tumour", "t cells", "caf", "other"], 100)
    counts[100:200, :13] += rng.poisson(0.8, (100, 13))
    counts[200:300, 13:21] += rng.poisson(1.5, (100, 8))
    found = novelty.kinds(cluster, np.log1p(counts), genes, np.array(["skin", "lung"]))
    assert dict(zip(found.cluster, found.kind)) == {"caf": "fibroblast", "other": "", "t cells": "immune", "tumour": ""}
    assert list(found.foreign) == [True, False, True, False]
    leukaemia = cluster == "t cells"
    blood = novelty.kinds(
        cluster[leukaemia], np.log1p(counts[leukaemia]), genes, np.array(["haematopoietic_and_lymphoid_tissue"])
    )
    assert list(blood.kind) == ["immune"]
    assert not blood.foreign.any()
    nothing = novelty.kinds(cluster, np.log1p(counts[:, -50:]), genes[-50:])
    assert not nothing.foreign.any()
