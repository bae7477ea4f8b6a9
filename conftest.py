"""The environment of every test and doctest. Runs before the tests import numpy and jax.

Workers of pytest-xdist inherit these variables, so two workers on two cores do not fight over BLAS threads.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("OMICSTL_PROGRESS", "false")

# Nothing that the tests compute is kept in, or read from, the user's cache. Workers share the folder of the first process.
OWN_CACHE = None if "PYTEST_XDIST_WORKER" in os.environ else tempfile.mkdtemp(prefix="omicstl-tests-")
if OWN_CACHE is not None:
    os.environ["OMICSTL_CACHE_DIR"] = OWN_CACHE

#: Rooms whose jaxtyping annotations are checked at run time, in tests only.
CHECKED = ("omicstl.kernels", "omicstl.nn")


def pytest_configure(config: pytest.Config) -> None:
    """Let beartype check the shapes and dtypes that kernels declare."""
    from jaxtyping import install_import_hook

    if not any(name.startswith(CHECKED) for name in sys.modules):
        install_import_hook(list(CHECKED), "kernel_shapes.check")


def pytest_unconfigure(config: pytest.Config) -> None:
    if OWN_CACHE is not None:
        shutil.rmtree(OWN_CACHE, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread():
    """For a run in one process (``-n 0``), where numpy may have started before the variables were set."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(autouse=True)
def _doctests(request: pytest.FixtureRequest):
    """Doctests see ``otl``, ``np`` and ``pd``, and write into an empty folder."""
    if isinstance(request.node, pytest.DoctestItem):
        import numpy as np
        import pandas as pd

        import omicstl as otl

        request.node.dtest.globs.update(otl=otl, np=np, pd=pd)
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
