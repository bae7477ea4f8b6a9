"""Closed-form ways to bring observations of several domains together before a head is fitted: a frozen record each."""

from __future__ import annotations

from dataclasses import dataclass

from omicstl._core.checks import check_flag, check_number


class Adaptation:
    """What all of them are."""


@dataclass(frozen=True)
class Unaligned(Adaptation):
    """Nothing but one scale for all: each variable less its mean in the sources, over its standard deviation there."""


@dataclass(frozen=True)
class ZScore(Adaptation):
    """
    Every variable at mean 0 and variance 1 within its domain.

    Parameters
    ----------
    scale
        `False` moves means alone, and scales a variable alike in all domains.

    Raises
    ------
    TypeError
        If `scale` is neither `True` nor `False`.

    Notes
    -----
    A domain's mean and spread are taken as technical. Where the shares of classes differ between domains, part of what tells classes
    apart goes with them.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.ZScore(scale=False).scale
    False
    """

    scale: bool = True

    def __post_init__(self) -> None:
        check_flag("scale", self.scale)


@dataclass(frozen=True)
class Coral(Adaptation):
    r"""
    Correlation alignment: sources are given the target's covariance :cite:p:`Sun2016a`.

    .. math:: X_s \mapsto (X_s - \mu_s)\, C_s^{-1/2} C_t^{1/2} + \mu_t

    Parameters
    ----------
    shrinkage
        Share of the identity in both covariances, above 0 and up to 1. `None` estimates it from each domain :cite:p:`Ledoit2004`.
    scale
        Bring variables to variance 1 within their domain first, as `ZScore` does.

    Raises
    ------
    ValueError
        If `shrinkage` is out of range.
    TypeError
        If an argument is of another type.

    Notes
    -----
    Both domains are centred. The original and the library *adapt* do not centre and add the identity to both
    covariances; *skada* centres and shrinks correlations. With fewer observations than variables the map is exact in the space
    of the observations; no matrix of variables by variables is formed.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Coral(shrinkage=0.1).shrinkage
    0.1
    """

    shrinkage: float | None = None
    scale: bool = True

    def __post_init__(self) -> None:
        _check_shrinkage(self.shrinkage)
        check_flag("scale", self.scale)


@dataclass(frozen=True)
class LinearTransport(Adaptation):
    r"""
    Optimal transport between Gaussians: the linear map of a source onto the target that moves it least :cite:p:`Flamary2019`.

    .. math:: X_s \mapsto (X_s - \mu_s)\, C_s^{-1/2} (C_s^{1/2} C_t C_s^{1/2})^{1/2} C_s^{-1/2} + \mu_t

    Parameters
    ----------
    shrinkage
        Share of the identity in both covariances, above 0 and up to 1. `None` estimates it from each domain :cite:p:`Ledoit2004`.
    scale
        Bring variables to variance 1 within their domain first, as `ZScore` does.

    Raises
    ------
    ValueError
        If `shrinkage` is out of range.
    TypeError
        If an argument is of another type.

    Notes
    -----
    It differs from `Coral` in the rotation that two covariances leave free: this one is the nearest to none.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.LinearTransport(scale=False).shrinkage is None
    True
    """

    shrinkage: float | None = None
    scale: bool = True

    def __post_init__(self) -> None:
        _check_shrinkage(self.shrinkage)
        check_flag("scale", self.scale)


@dataclass(frozen=True)
class SubspaceAlignment(Adaptation):
    """
    Principal axes of a source turned onto those of the target, all else left out :cite:p:`Fernando2013`.

    Parameters
    ----------
    n_comps
        Axes that are kept. `None`: as many as hold four fifths of the target's variance, at most 50, and fewer than either
        domain has observations.
    scale
        Bring variables to variance 1 within their domain first, as `ZScore` does.

    Raises
    ------
    ValueError
        If `n_comps` is below 1.
    TypeError
        If an argument is of another type.

    Notes
    -----
    Both domains are centred. More axes than the smallest domain has are an error of `omicstl.tl.adapt`.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.SubspaceAlignment(n_comps=10).n_comps
    10
    """

    n_comps: int | None = None
    scale: bool = True

    def __post_init__(self) -> None:
        if self.n_comps is not None:
            check_number("n_comps", self.n_comps, low=1, integer=True)
        check_flag("scale", self.scale)


def _check_shrinkage(value: float | None) -> None:
    if value is not None:
        check_number("shrinkage", value, low=0, low_open=True, high=1)
