"""What `tl.deepprofile` is given, checked and brought into the form of a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice, check_number, listed
from omicstl._core.log import warn
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl._data import adata as reader
from omicstl._data.checkpoints import Checkpoints, rows_digest
from omicstl._data.run import Run
from omicstl.models.factors.autoencoder.axes import Axes
from omicstl.models.factors.autoencoder.rows import Data, InMemory
from omicstl.models.factors.deepprofile.fit import Components, size_in_bytes
from omicstl.models.factors.deepprofile.train import DeepprofileOptions, Member, Name
from omicstl.tl._shared import encoder_rows

if TYPE_CHECKING:
    from anndata import AnnData

STEPS, MOST_EPOCHS = 4000, 200


def sizes(latent_sizes: Sequence[int]) -> tuple[int, ...]:
    """Latent sizes, rising, checked."""
    for size in latent_sizes:
        check_number("latent_sizes", size, low=1, high=10_000, integer=True)
    found = tuple(int(size) for size in latent_sizes)
    if not found or len(set(found)) < len(found) or len(found) > 6:
        msg = (
            f"`latent_sizes` must hold one to six different numbers, got {found}. More members of a size: `n_members`."
        )
        raise ValueError(msg)
    return tuple(sorted(found))


def training_of(training: Training | None) -> Training:
    """Options of training, or those of the paper."""
    return training or Training()


def checked(options: DeepprofileOptions) -> DeepprofileOptions:
    """Check what does not need the data."""
    check_number("n_members", options.n_members, low=1, high=100_000, integer=True)
    check_choice("clustering", options.rule, ("aligned", "published"))
    check_number("kl_weight", options.kl_weight, low=0)
    for name in ("n_comps", "n_clusters"):
        value = getattr(options, name)
        if value is not None:
            check_number(name, value, low=2, integer=True, advice="None lets the data decide.")
    if options.n_clusters is not None and options.n_clusters > options.n_nodes:
        msg = (
            f"`n_clusters` must be at most the number of latent units, {options.n_nodes} ({options.n_members} networks of each of "
            f"{listed(options.latent_sizes)} units), got {options.n_clusters}. Ask for fewer clusters or more members."
        )
        raise ValueError(msg)
    return replace(
        options,
        n_members=int(options.n_members),
        n_clusters=None if options.n_clusters is None else int(options.n_clusters),
        n_comps=None if options.n_comps is None else int(options.n_comps),
        linear=bool(options.linear),
        kl_weight=float(options.kl_weight),
    )


class Read(NamedTuple):
    """What is learnt from: names of the variables in use, standardised rows, and the batches."""

    features: np.ndarray
    data: Data
    n_batches: int


def read(adata: AnnData, layer: str | None, obsm: str | None, batch_key: str | None) -> Read:
    """Read, refuse what cannot be learnt from, and leave out what does not vary."""
    expression = encoder_rows.read(adata, layer, obsm)
    seen = encoder_rows.observed(adata, batch_key, ())
    summary = reader.summarise(expression)
    encoder_rows.check_values(expression, summary, "gaussian", obsm)
    varying = summary.low < summary.high
    expression = encoder_rows.drop_constant(expression, varying)
    if expression.rows.n_cols < 2:
        msg = f"{expression.where} has one variable that varies; at least 2 are needed."
        raise ValueError(msg)
    data, _ = encoder_rows.data(expression, summary, varying, "gaussian", seen)
    n_batches = 0 if seen.batch is None else int(seen.batch.max()) + 1
    return Read(np.asarray(expression.var_names, dtype=object), data, n_batches)


def check_comps(n_comps: int | None, given: Read) -> None:
    n, p = given.data.rows.n_rows, given.data.rows.n_cols
    if n_comps is not None and n_comps >= min(n, p + 1):
        msg = (
            f"`n_comps` must be at most {min(n - 1, p)}, got {n_comps}: {n} observations of {p} variables have no more components. "
            "Use None to let the data decide."
        )
        raise ValueError(msg)


def check_size(run: Run, given: Read, options: DeepprofileOptions) -> None:
    """Refuse a model that could not travel in the AnnData, before the fit and not after it."""
    d, n_sizes = options.n_comps, len(options.latent_sizes)
    if d is None:
        return
    size = size_in_bytes(given.features.size, d, options.latent_sizes, options.n_members)
    what = f"{options.n_members} networks of each of {n_sizes} sizes, {d} components of {given.features.size} variables"
    run.check_size(size, what, "fewer `n_members` or `n_comps`")


def settled(options: DeepprofileOptions, reduced: Components, training: Training | None) -> DeepprofileOptions:
    """The options with what the data decide: the number of components and, without `training`, of epochs.

    4,000 steps as far as 50 (the paper's) to 200 epochs give them. On 972 samples of blood the loss on samples held out is
    lowest there, whichever the latent size.
    """
    n, d = reduced.scores.shape
    if training is None:
        epochs = int(np.clip(round(STEPS * options.training.batch_size / n), options.training.epochs, MOST_EPOCHS))
        options = replace(options, training=replace(options.training, epochs=epochs))
    if options.n_comps is not None and d < options.n_comps:
        warn(
            f"The data have {d} independent components, fewer than n_comps={options.n_comps}: observations or variables repeat others, or "
            f"batches take their share. {d} are used."
        )
    wide = [size for size in options.latent_sizes if size > d]
    if wide:
        warn(
            f"{listed(wide)} latent units are more than the {d} components that the networks see: units without a use. Choose smaller "
            "`latent_sizes`."
        )
    return replace(options, n_comps=d)


class Checkpoint:
    """Components, members and states of members under way, in a folder; nothing without one."""

    def __init__(
        self,
        folder: str | Path | None,
        given: Read,
        options: DeepprofileOptions,
        random: Streams,
        training: Training | None,
    ) -> None:
        decisive = None if folder is None else _decisive(given, options, random, training)
        self._files = None if folder is None or decisive is None else Checkpoints(folder, decisive)

    def components(self, make: Callable[[], Components]) -> Components:
        """The components that the folder has: their last bits depend on the machine, and members on theirs."""
        if self._files is None:
            return make()
        if "components" in self._files.finished():
            tree = self._files.load("components")
            return Components(Axes(*(tree[name] for name in Axes._fields)), tree["scores"])
        made = make()
        self._files.save("components", made.axes._asdict() | {"scores": made.scores})
        return made

    def members(self, options: DeepprofileOptions) -> dict[Name, Member]:
        """Members that are ready."""
        if self._files is None:
            return {}
        wanted = {_name((s, i)): (s, i) for s in options.latent_sizes for i in range(options.n_members)}
        return {wanted[name]: self._files.load(name) for name in self._files.finished() if name in wanted}

    def save(self, name: Name, member: Member) -> None:
        """Keep a member."""
        if self._files is not None:
            self._files.save(_name(name), member)

    def running(self, name: Name) -> dict[str, Any] | None:
        """The state of a member under way."""
        return None if self._files is None else self._files.load_running(_name(name))

    @property
    def save_running(self) -> Callable[[Name, dict[str, Any]], None] | None:
        """Keeps the state of a member under way."""
        files = self._files
        return None if files is None else lambda name, state: _keep(files, name, state)


def _keep(files: Checkpoints, name: Name, state: dict[str, Any]) -> None:
    files.save_running(_name(name), state)


def _name(name: Name) -> str:
    return f"size{name[0]}_member{name[1]}"


def _decisive(given: Read, options: DeepprofileOptions, random: Streams, training: Training | None) -> dict[str, Any]:
    """All that decides a member; how many there are and how they are clustered does not.

    The largest latent size counts where it may decide the number of components.
    """
    rows: Any = given.data.rows
    genes = hashlib.sha256("\n".join(map(str, given.features)).encode()).hexdigest()
    return {
        "data": rows_digest(rows.x if isinstance(rows, InMemory) else rows),
        "largest_latent_size": max(options.latent_sizes) if options.n_comps is None else None,
        "genes": genes,
        "n_obs": rows.n_rows,
        "n_comps": options.n_comps,
        "kl_weight": options.kl_weight,
        "seed": random.entropy,
        "training": None if training is None else asdict(training),
    }
