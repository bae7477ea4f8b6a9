"""Ways to bring the latent variables of two domains together while a network is trained: a frozen record each."""

from __future__ import annotations

from dataclasses import dataclass, fields

from omicstl._core.checks import check_choice, check_flag, check_number

MEAN, MEDIAN = "mean", "median"


@dataclass(frozen=True)
class Alignment:
    """
    What all terms share.

    Parameters
    ----------
    weight
        Weight of the term beside the loss of the labels, once it has risen. `None`: chosen among several, 0 included, without
        labels of the target.
    ramp
        Steepness of the rise ``2 / (1 + exp(-ramp * t)) - 1`` over the share t of training that is done
        :cite:p:`Ganin2016`; 0 gives the full weight from the first step.
    label_shift
        Weight the source's observations so that the shares of their classes are those estimated for the target
        :cite:p:`Saerens2002`. Without it, a term pulls the domains together although their shares of classes differ. For one column
        of classes; `omicstl.tl.ResponseNetwork` takes it for one drug of two classes. `omicstl.tl.adapt` estimates the shares from the
        variables at their levels, which is right where domains differ in nothing else (`omicstl.metrics.label_shift` tests that); cells and
        lines never do, and there the estimate, from z-scores, is drawn towards the lines' shares.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.
    """

    weight: float | None = None
    ramp: float = 10.0
    label_shift: bool = False

    def __post_init__(self) -> None:
        if self.weight is not None:
            check_number("weight", self.weight, low=0)
        check_number("ramp", self.ramp, low=0)
        check_flag("label_shift", self.label_shift)
        for field in fields(self):
            if field.name.startswith("n_"):
                check_number(field.name, getattr(self, field.name), low=1, integer=True)


@dataclass(frozen=True)
class Mmd(Alignment):
    """
    Maximum mean discrepancy: the domains' distributions in a kernel space, unbiased, over several widths :cite:p:`Gretton2012`.

    Parameters
    ----------
    weight, ramp, label_shift
        See `Alignment`.
    n_widths
        Gaussian kernels, whose squared widths are multiples by powers of two of a typical squared distance.
    width
        The typical squared distance of a batch: ``"mean"`` or ``"median"``. No gradient goes through it.

    Raises
    ------
    ValueError
        If a number is out of range, or `width` is another word.
    TypeError
        If an argument is of another type.

    Notes
    -----
    Cost of a step: quadratic in the batch.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Mmd(weight=0.3).n_widths
    5
    """

    n_widths: int = 5
    width: str = MEAN

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("width", self.width, (MEAN, MEDIAN))


@dataclass(frozen=True)
class DeepCoral(Alignment):
    """
    Distance of the domains' means and covariances of the latent variables :cite:p:`Sun2016b`.

    Parameters
    ----------
    weight, ramp, label_shift
        See `Alignment`.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Notes
    -----
    The paper compares covariances alone, which leaves a shift as it is; means are compared too.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.DeepCoral().weight is None  # chosen without labels of the target
    True
    """


@dataclass(frozen=True)
class SlicedWasserstein(Alignment):
    """
    Squared Wasserstein distance, averaged over random directions of the latent space :cite:p:`Bonneel2015`.

    Parameters
    ----------
    weight, ramp, label_shift
        See `Alignment`.
    n_directions
        Directions, drawn anew in each step.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.SlicedWasserstein(n_directions=32).n_directions
    32
    """

    n_directions: int = 64


@dataclass(frozen=True)
class Dann(Alignment):
    """
    Adversarial alignment: a discriminator tells domains apart, the encoder gets its reversed gradient :cite:p:`Ganin2016`.

    Parameters
    ----------
    weight
        Factor of the reversed gradient, once it has risen; the discriminator learns at its full rate throughout. `None`: chosen
        among several, 0 included, without labels of the target.
    ramp, label_shift
        See `Alignment`.
    n_hidden
        Hidden units of the discriminator.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Dann(weight=0.3, ramp=10).n_hidden
    64
    """

    n_hidden: int = 64


@dataclass(frozen=True)
class Cdan(Alignment):
    """
    Adversarial alignment of latent variables together with predictions :cite:p:`Long2018`.

    Parameters
    ----------
    weight
        As in `Dann`.
    ramp, label_shift
        See `Alignment`.
    n_hidden
        Hidden units of the discriminator.
    n_products
        The discriminator sees all products of a latent variable and a prediction; where there are more than this, so many random
        ones (equation 6 of the paper).
    entropy
        Count observations with uncertain predictions less (CDAN+E): weights ``1 + exp(-H)``. For one class among several H is the
        entropy of its probabilities, as in the paper; for several outputs of two classes each, which the paper does not have, the
        mean of theirs; numbers count all alike.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Cdan(entropy=False).entropy
    False
    """

    n_hidden: int = 64
    n_products: int = 1024
    entropy: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("entropy", self.entropy)
