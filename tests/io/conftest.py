"""A small file of ARCHS4, and what is read of its counts."""

from __future__ import annotations

import h5py
import pytest
from archs4_files import write


@pytest.fixture
def archs4_path(tmp_path):
    return write(tmp_path / "human_gene_v2.6.h5")


@pytest.fixture
def reads(monkeypatch):
    """What every read of the expression asks of the file: bytes."""
    seen = []
    original = h5py.Dataset.__getitem__

    def counted(self, key, *more, **options):
        found = original(self, key, *more, **options)
        if self.name == "/data/expression":
            seen.append(found.nbytes)
        return found

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    return seen
