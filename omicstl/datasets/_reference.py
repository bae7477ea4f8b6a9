"""A blood reference, learnt once from the bundled compendium and then kept on disk."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from omicstl._core.log import info, warn
from omicstl._core.public import public
from omicstl._core.settings import settings

from ._cohorts import sle_pediatric
from ._files import data_file
from ._gene_sets import gene_sets

if TYPE_CHECKING:
    from omicstl.models.base import Model

_SETS = ("blood", "reactome")
_FILES = ("sle_pediatric.npz", "blood.gmt", "reactome.gmt.gz")


def _digest() -> str:
    """Name what the reference depends on: the data, what is asked for, and the version of the package."""
    from omicstl import __version__

    digest = hashlib.sha256(json.dumps({"sets": _SETS, "rng": 0, "version": __version__}).encode())
    for name in _FILES:
        digest.update(hashlib.sha256(data_file(name).read_bytes()).digest())
    return digest.hexdigest()[:16]


@public
def blood_reference(*, progress: bool | None = None) -> Model:
    """
    Pathway factors of whole blood, ready to project a cohort onto.

    The first call fits `omicstl.tl.plier` to :func:`sle_pediatric` with the sets ``"blood"`` and ``"reactome"`` and
    keeps the model in ``omicstl.settings.cache_dir``; later calls read it. No weights are shipped or downloaded.

    Parameters
    ----------
    progress
        Show a progress bar during the fit. `None` takes ``omicstl.settings.progress``.

    Returns
    -------
    The fitted model, which `omicstl.tl.project` takes as its reference.

    Raises
    ------
    TypeError
        If `progress` is not a bool or `None` and the model is fitted; where a kept one is read, it is not looked at.
    FileNotFoundError
        If one of the bundled files is missing.
    ValueError
        If bundled gene sets are damaged. Damaged expression raises what :func:`sle_pediatric` does.
    PermissionError
        If the folder of the cache may not be entered (Python before 3.14; later ones warn as below).

    Warns
    -----
    UserWarning
        If the model cannot be kept, because the folder cannot be written.

    Notes
    -----
    Every argument of `omicstl.tl.plier` has its default. The file is named after the data, the sets and the version of
    the package, so that a new release fits anew; a damaged file is fitted again. Cost: one fit of 972 × 4,470, then a
    read.

    Examples
    --------
    >>> import omicstl as otl
    >>> reference = otl.datasets.blood_reference()  # doctest: +SKIP
    >>> otl.tl.project(otl.datasets.sle_adult(), reference)  # doctest: +SKIP
    """
    from omicstl._data.files import What
    from omicstl._data.store import write_model
    from omicstl.get import model as get_model
    from omicstl.io import read_model
    from omicstl.tl import plier

    path = settings.cache_dir / f"blood_reference_{_digest()}.npz"
    if path.is_file():
        try:
            return read_model(path)
        except (ValueError, OSError) as error:
            info(f"The kept blood reference is not readable and is fitted again: {error}")
    compendium = sle_pediatric()
    plier(compendium, gene_sets(*_SETS), rng=0, progress=progress)
    model = get_model(compendium, "plier")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(path, model.to_dict(), What("settings.cache_dir", "the blood reference", path.name))
    except OSError as error:
        warn(
            f"The blood reference could not be kept and is fitted again next time: {error} Set omicstl.settings.cache_dir to a folder of yours.",
            UserWarning,
        )
        return model
    return read_model(path)
