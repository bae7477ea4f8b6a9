"""A closed form, a term of networks and a weight rule is one file: what lies in its folder can be used, by name and by record."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl.models.adapt import closed_forms, methods
from omicstl.models.shift import importance_weights, weights
from omicstl.nn import terms

CLOSED_FORM = '''
from dataclasses import dataclass
from typing import ClassVar

from omicstl.models.adapt import spaces
from omicstl.models.adapt.closed_forms.base import ClosedForm


@dataclass(frozen=True)
class Halves(ClosedForm):
    """Z-scores, those of sources by a factor."""

    name: ClassVar[str] = "halves"
    rank: ClassVar[int] = 15
    factor: float = 0.5

    def prepare(self, problem, random):
        start = spaces.own_scales(problem, True, random)
        return start._replace(sources=tuple(self.factor * z for z in start.sources))


METHOD = Halves
'''
TERM = '''
from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.options.alignment import Alignment


@dataclass(frozen=True)
class Means(Alignment):
    """Squared distance of means."""

    name: ClassVar[str] = "means"

    def loss(self, params, seen, strength):
        import jax.numpy as jnp

        return strength * jnp.sum((jnp.mean(seen.source, axis=0) - jnp.mean(seen.target, axis=0)) ** 2)


METHOD = Means
'''
RULE = """
import numpy as np

from omicstl.models.shift.weights.base import Rule


def weigh(source, target, every, random):
    return np.ones(len(every)), True


METHOD = Rule("even", weigh)
"""
N = 40


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Put a file into a folder of methods, for the time of a test."""

    modules = []

    def added(package: ModuleType, name: str, source: str) -> ModuleType:
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / f"{name}.py").write_text(source)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        importlib.invalidate_caches()
        modules.append((package, name))
        return importlib.import_module(f"{package.__name__}.{name}")

    yield added
    for package, name in modules:
        del sys.modules[f"{package.__name__}.{name}"]
        delattr(package, name)


def cohorts() -> ad.AnnData:
    rng = np.random.default_rng(0)
    f = rng.normal(size=(2 * N, 3))
    adata = ad.AnnData((f @ rng.normal(size=(3, 20)) + rng.normal(size=(2 * N, 20))).astype(np.float32))
    adata.obs["cohort"] = np.repeat(["old", "new"], N)
    adata.obs["class"] = np.where(adata.obs["cohort"] == "old", np.where(f[:, 0] > 0, "yes", "no"), None)
    return adata


def adapt(method: object, **options: object) -> dict:
    adata = cohorts()
    otl.tl.adapt(adata, domain_key="cohort", label_key="class", method=method, safeguard=False, **options)
    return adata.uns["adapt"]


def test_a_closed_form_is_a_file(add) -> None:
    with pytest.raises(ValueError, match="'halves'"):
        adapt("halves")
    halves = add(closed_forms, "halves", CLOSED_FORM).METHOD
    by_name, by_record = adapt("halves"), adapt(halves(factor=0.25))
    assert by_name["method"] == by_record["method"] == by_name["model"]["method"] == "halves"
    assert [entry["params"]["options"] for entry in (by_name, by_record)] == [{"factor": 0.5}, {"factor": 0.25}]
    chosen_from = adapt("auto")["candidates"]["method"].tolist()
    assert chosen_from == ["none", "zscore", "halves", "coral", "linear_transport", "subspace_alignment"]


def test_what_was_added_is_gone_after_the_test() -> None:
    assert "halves" not in methods.named()


def test_a_term_is_a_file(add) -> None:
    means = add(terms, "means", TERM).METHOD
    short = {"training": otl.tl.Training(epochs=2, batch_size=20, validation=0.2), "n_members": 2}
    by_name, by_record = adapt("means", **short), adapt(means(weight=0.5), **short)
    assert by_name["method"] == by_record["method"] == "means"
    assert by_record["params"]["options"]["weight"] == by_record["model"]["weight"] == 0.5
    assert by_record["model"]["kind"] == "adapt_network"
    assert (by_record["history"]["alignment"] > 0).all()
    assert otl.tl.ResponseNetwork(term=means()).term == means()


def test_a_weight_rule_is_a_file(add) -> None:
    add(weights, "even", RULE)
    found = otl.metrics.importance_weights(cohorts(), domain_key="cohort", target="new", method="even")
    np.testing.assert_array_equal(found.weights, 1.0)
    with pytest.raises(ValueError, match="'even'"):
        otl.metrics.importance_weights(cohorts(), domain_key="cohort", target="new", method="odd")


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ("", TypeError, r"weights\.wrong must define METHOD"),
        (RULE.replace("even", "kliep"), ValueError, "which another file has"),
    ],
)
def test_a_file_that_is_no_method_is_named(add, source: str, error: type, match: str) -> None:
    add(weights, "wrong", source)
    with pytest.raises(error, match=match):
        importance_weights.rules()


@pytest.mark.parametrize("package", [closed_forms, terms, weights], ids=lambda package: package.__name__)
def test_files_are_named_after_methods(package: ModuleType) -> None:
    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__", "base", "unaligned"}
    names = {importlib.import_module(f"{package.__name__}.{file}").METHOD.name for file in files}
    assert names == files


def test_every_record_is_exported() -> None:
    records = {cls.__name__ for cls in methods.named().values()} - {"Unaligned"}  # nothing to choose there
    assert records <= set(otl.tl.__all__)
    assert all(getattr(otl.tl, name).__name__ == name for name in records)


NETWORKS = ("jax", "flax", "optax")


@pytest.mark.parametrize(
    "use",
    [
        "import omicstl.tl; dir(omicstl.tl)",
        "otl.tl.Coral(), otl.tl.Dann(), otl.tl.ResponseNetwork(), otl.tl.Training()",
        "from omicstl.models.adapt import methods; methods.named()",
        (
            "import anndata, numpy as np; a = anndata.AnnData(np.random.default_rng(0).normal(size=(60, 8)));"
            "a.obs['c'] = np.repeat(['a', 'b'], 30); a.obs['y'] = np.r_[np.arange(30.0), np.full(30, np.nan)];"
            "otl.tl.adapt(a, domain_key='c', label_key='y', method='coral')"
        ),
    ],
    ids=["door", "records", "names", "closed form"],
)
def test_networks_load_where_one_is_trained(run_python, use: str) -> None:
    code = f"import sys, omicstl as otl; {use}; print('loaded', *[m for m in {NETWORKS} if m in sys.modules])"
    assert run_python(code).splitlines()[-1] == "loaded"
