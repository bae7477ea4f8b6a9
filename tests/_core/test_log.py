"""Messages reach the user's line, and only at the verbosity asked for."""

import logging
import warnings

import pytest

from omicstl._core import log
from omicstl._core.optional import need
from omicstl._core.settings import settings
from omicstl._core.threads import one_blas_thread


def _from_inside(module, message):
    """Call `log.warn` two frames deep in a module of that name."""
    space = {"__name__": module, "log": log}
    exec("def inner(m):\n    log.warn(m, log.ScaleWarning)\ndef outer(m):\n    inner(m)\n", space)
    space["outer"](message)


@pytest.mark.parametrize("module", ["omicstl.tl._x", "omicstl"])
def test_warning_points_at_the_first_line_outside(module):
    with pytest.warns(log.ScaleWarning, match="odd values") as caught:
        _from_inside(module, "odd values")
    assert caught[0].filename == __file__


def test_other_packages_of_similar_name_are_outside():
    with pytest.warns(log.ScaleWarning) as caught:
        _from_inside("omicstl_extra", "odd")
    assert caught[0].filename == "<string>"


def test_filters_apply():
    with warnings.catch_warnings():
        warnings.simplefilter("error", log.TransferWarning)
        with pytest.raises(log.TransferWarning):
            log.warn("no", log.TransferWarning)
    assert issubclass(log.ConvergenceWarning, UserWarning)


def test_silence():
    with settings.override(verbosity=0):
        log.warn("not heard", log.ScaleWarning)


def test_info_follows_verbosity(caplog):
    with caplog.at_level(logging.DEBUG), settings.override(verbosity=1):
        log.info("quiet")
    with caplog.at_level(logging.DEBUG), settings.override(verbosity=2):
        log.info("loud, 100 %")
        log.logger.debug("detail")
    assert [r.getMessage() for r in caplog.records] == ["loud, 100 %"]


def test_a_notice_is_silent_only_at_zero(caplog):
    for verbosity in (0, 1, 2):
        with caplog.at_level(logging.DEBUG), settings.override(verbosity=verbosity):
            log.notice(f"costs at {verbosity}")
    assert [r.getMessage() for r in caplog.records] == ["costs at 1", "costs at 2"]


def test_stderr_only_without_other_handlers(capsys, monkeypatch):
    root = logging.getLogger()
    with settings.override(verbosity=2):
        log.info("handled elsewhere")
        monkeypatch.setattr(root, "handlers", [])
        log.info("for you")
    assert capsys.readouterr().err == "omicstl: for you\n"


def test_progress(capsys):
    with log.progress(3, "fit", enabled=False) as bar:
        bar.update(1, "loss 1")
    assert capsys.readouterr().err == ""
    with log.progress(3, "fit", enabled=True) as bar:
        bar.update(1, "loss 1")
        bar.update()
    assert "fit" in capsys.readouterr().err
    with settings.override(progress=True), log.progress(3, "fit") as bar:  # no terminal: not shown
        bar.update()
    assert capsys.readouterr().err == ""


def test_need():
    assert need("json", "dask") is __import__("json")
    with pytest.raises(ImportError, match=r'pip install "omicstl\[dask\]"'):
        need("no_such_module_of_ours", "dask")


def test_one_blas_thread():
    from threadpoolctl import threadpool_info

    with one_blas_thread():
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
