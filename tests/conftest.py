"""Fixtures that many tests share; the environment is set in the ``conftest.py`` of the root."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import settings

# Times are of the machine, not of the code: a busy one must not fail a property.
settings.register_profile("omicstl", deadline=None)
settings.load_profile("omicstl")


@pytest.fixture(scope="session")
def run_python():
    """Run code in a fresh interpreter, warnings as errors, and return what it prints."""

    def run(code: str, *, timeout: float = 120) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            pytest.fail(f"A fresh interpreter ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout

    return run


@pytest.fixture(scope="session")
def reference():
    """The small simulated compendium with its fit; only to be read."""
    from tests.contract.cases import fitted

    return fitted()


@pytest.fixture(scope="session")
def model(reference):
    import omicstl as otl

    return otl.get.model(reference)
