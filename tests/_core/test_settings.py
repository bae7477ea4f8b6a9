"""Settings are validated, can be overridden, and follow the environment."""

from pathlib import Path

import pytest

from omicstl._core.settings import Settings, settings


@pytest.fixture
def clean(monkeypatch):
    for name in ("VERBOSITY", "PROGRESS", "BLOCK_BYTES", "CACHE_DIR", "MODEL_IN_ADATA"):
        monkeypatch.delenv(f"OMICSTL_{name}", raising=False)
    return monkeypatch


def test_defaults(clean):
    clean.setenv("XDG_CACHE_HOME", "/nowhere")
    s = Settings()
    assert (s.verbosity, s.progress, s.model_in_adata, s.block_bytes) == (1, True, 64 * 2**20, 128 * 2**20)
    assert s.cache_dir.name in {"omicstl", "Cache"}
    assert "verbosity = 1" in repr(s)
    assert "override" in dir(s)


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("verbosity", 4, ValueError, "`settings.verbosity` must be >= 0 and <= 3, got 4"),
        ("verbosity", "2", TypeError, "must be an integer"),
        ("progress", 1, TypeError, "must be True or False"),
        ("block_bytes", 10, ValueError, ">= 1024, got 10"),
        ("cache_dir", 3, TypeError, "must be a path"),
        ("verbosty", 1, AttributeError, "Did you mean 'verbosity'"),
    ],
)
def test_refused(name, value, error, text):
    s = Settings()
    with pytest.raises(error, match=text):
        setattr(s, name, value)
    with pytest.raises(error, match=text), s.override(**{name: value}):
        pass


def test_unknown_read():
    with pytest.raises(AttributeError, match="no option 'blok_bytes'. Did you mean 'block_bytes'"):
        _ = settings.blok_bytes


def test_override_restores_after_errors(clean):
    s = Settings()
    s.cache_dir = "~/x"
    assert s.cache_dir == Path.home() / "x"
    try:
        with s.override(verbosity=3, progress=False):
            assert (s.verbosity, s.progress) == (3, False)
            raise RuntimeError
    except RuntimeError:
        pass
    assert (s.verbosity, s.progress) == (1, True)
    with pytest.raises(ValueError, match="block_bytes"), s.override(verbosity=3, block_bytes=0):
        pass
    assert s.verbosity == 1


def test_environment(clean, tmp_path):
    clean.setenv("OMICSTL_VERBOSITY", "2")
    clean.setenv("OMICSTL_PROGRESS", "off")
    clean.setenv("OMICSTL_CACHE_DIR", str(tmp_path))
    s = Settings()
    assert (s.verbosity, s.progress, s.cache_dir) == (2, False, tmp_path)
    for text in ("9", "many"):
        clean.setenv("OMICSTL_VERBOSITY", text)
        with pytest.raises(ValueError, match=f"variable OMICSTL_VERBOSITY='{text}' is no valid setting"):
            _ = Settings().verbosity
    clean.setenv("OMICSTL_PROGRESS", "maybe")
    with pytest.raises(ValueError, match="expected one of 1, true"):
        _ = Settings().progress
