"""The fit is replaced by a small one; the real one runs in the demo."""

import sys
from types import ModuleType

import numpy as np
import pytest

from omicstl._core.settings import settings
from omicstl._data.store import read_model
from omicstl.datasets import blood_reference


class SmallModel:
    def __init__(self, tree):
        self.tree = tree

    def to_dict(self):
        return self.tree


@pytest.fixture
def fits(monkeypatch):
    """Count the fits."""
    calls = []

    def plier(adata, gene_sets, **arguments):
        calls.append((adata.shape, len(gene_sets), arguments))

    fakes = {
        "omicstl.tl": {"plier": plier},
        "omicstl.get": {
            "model": lambda adata, key: SmallModel(
                {"kind": "plier", "version": 1, "loadings": np.eye(2, dtype=np.float32)}
            )
        },
        "omicstl.io": {"read_model": lambda path: SmallModel(read_model(path))},
    }
    for name, functions in fakes.items():
        module = ModuleType(name)
        module.__dict__.update(functions)
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def test_fitted_once_and_kept(fits, tmp_path):
    with settings.override(cache_dir=tmp_path / "new" / "folder"):
        first, second = blood_reference(progress=False), blood_reference()
    assert fits == [((972, 4470), 261, {"rng": 0, "progress": False})]
    np.testing.assert_array_equal(first.tree["loadings"], second.tree["loadings"])
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1


def test_a_damaged_file_is_fitted_again(fits, tmp_path):
    with settings.override(cache_dir=tmp_path):
        blood_reference()
        next(tmp_path.iterdir()).write_bytes(b"not a model")
        assert blood_reference().tree["kind"] == "plier"
        blood_reference()
    assert len(fits) == 2


def test_a_folder_that_cannot_be_written_is_told(fits, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        settings.override(cache_dir=tmp_path / "file"),
        pytest.warns(UserWarning, match=r"could not be kept .* Set omicstl\.settings\.cache_dir"),
    ):
        assert blood_reference().tree["kind"] == "plier"


def test_another_version_fits_anew(fits, tmp_path, monkeypatch):
    with settings.override(cache_dir=tmp_path):
        blood_reference()
        monkeypatch.setattr("omicstl.__version__", "999")
        blood_reference()
    assert len(fits) == 2
