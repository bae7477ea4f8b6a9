"""A small part of the campaign: that it sees what is broken on purpose, and that nothing of the package is, as far as it goes."""

from __future__ import annotations

import pytest

pool = pytest.importorskip("benchmarks.fuzz.pool", reason="benchmarks are not part of the source distribution")
pytestmark = pytest.mark.slow
VERBS = (
    "tl.plier tl.project tl.stability tl.rank_factors_groups tl.enrich tl.attributions tl.deepprofile tl.vae tl.assess tl.adapt "
    "tl.scdeal tl.predict pp.gene_modules pp.match_distribution pp.align_features pp.map_features"
)
EXAMPLES, SEED = 5, 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("campaign")


@pytest.fixture(scope="module")
def child(folder):
    child = pool.Child(folder, folder / "cache")
    yield child
    child.stop()


def test_what_is_broken_is_found(folder):
    found = list(pool.self_check(folder, limit=1.0))
    assert {due for *_, due in found} == {"returned", *pool.FINDINGS}
    assert [(name, verdict) for name, verdict, _ in found] == [(name, due) for name, _, due in found]


@pytest.mark.parametrize("name", VERBS.split())
def test_drawn_examples(child, name):
    rows = [child.example(name, None, number, SEED) for number in range(EXAMPLES)]
    bad = [row for row in rows if row["verdict"] not in pool.KEPT]
    assert not bad
    assert any(row["verdict"] != "impossible" for row in rows)


def test_an_example_can_be_drawn_again(child):
    rows = [child.example("tl.enrich", None, 3, 0) for _ in range(2)]
    assert rows[0]["changes"] == rows[1]["changes"]
    assert rows[0]["verdict"] == rows[1]["verdict"]
    assert rows[1]["compiled"] == 0


@pytest.mark.parametrize("container", ["F", "csr", "csc_array", "unsorted", "explicit zeros", "big endian", "dask"])
def test_layouts_are_the_plain_path(child, container):
    row = child.example("tl.project", [["layout", "adata", "X", container, "float32"]], 0, 0)
    assert row["verdict"] == "returned"


def test_scenes(folder):
    child = pool.Child(folder, folder / "cache")  # forks need one in which jax sleeps
    rows = [
        child.example(part, None, number, 0) for part in ("writers", "threads", "interrupted") for number in range(2)
    ]
    child.stop()
    assert [row["verdict"] for row in rows] == ["returned"] * 6


def test_results_go_on_after_the_last(folder):
    results = pool.Results(folder / "few.jsonl")
    for examples in (2, 3):
        pool.campaign([("tl.ZScore", examples)], results, folder, workers=1)
        counted = [row for row in pool.Results(folder / "few.jsonl").rows if row["verdict"] != "impossible"]
        assert len(counted) == examples
    assert [row["number"] for row in results.rows] == list(range(len(results.rows)))
