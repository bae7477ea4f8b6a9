"""Ways to predict a response of cells from a screen of lines: a frozen record each."""

from __future__ import annotations

from dataclasses import dataclass

from omicstl._core.checks import check_choice, check_number
from omicstl._core.public import public

ALIGN = ("auto", "denoise", "coral", "none")


@public
@dataclass(frozen=True)
class ResponseRidge:
    """
    Ridge regression of the response on the components of the lines, and how cells come into their space.

    Parameters
    ----------
    align
        ``"denoise"``: a cell's components are what its genes say of them, each gene by how much of the lines' variation of it
        shows in the cells and how much else does. ``"coral"``: lines get the covariance of the cells in the space of components
        :cite:p:`Sun2016a`. ``"none"``: cells are projected. ``"auto"``: the one that predicts best for pseudo-cells of
        lines that were left out of the fit; none of them needs a label of the cells.
    smoothing
        Strength of the average over neighbouring cells; 0 leaves cells alone. `None`: the weakest that is within one standard error of
        the best, where a tenth of each cell's counts is predicted from the other nine (counts divided such that their noise is
        independent :cite:p:`Neufeld2023`); the same for all drugs but those that surely want another. 0 where counts cannot be told.
        Neighbours are sought by angle in 50 principal axes, genes weighed by how much of the lines' variation shows in the cells.
    penalty
        Penalty of the ridge beside the mean variance of a component, above 0. `None`: the best for lines that were left out, by
        lineage where that is known, for each drug.
    n_comps
        Components of the lines. `None`: 200, or as many as there are.
    n_members
        Refits on lines drawn with replacement, for the standard deviation of a score. 0 leaves it out.

    Raises
    ------
    ValueError
        If a number is out of range or `align` is no such word.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Cost: one pass over the cells for moments, one for scores, and for n lines O(n³) once and O(n k²) for each drug with
    other missing values.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.ResponseRidge(align="coral", smoothing=1.0).n_members
    20
    """

    align: str = "auto"
    smoothing: float | None = None
    penalty: float | None = None
    n_comps: int | None = None
    n_members: int = 20

    def __post_init__(self) -> None:
        check_choice("align", self.align, ALIGN)
        if self.smoothing is not None:
            check_number("smoothing", self.smoothing, low=0, high=1000)
        if self.penalty is not None:
            check_number("penalty", self.penalty, low=0, low_open=True)
        if self.n_comps is not None:
            check_number("n_comps", self.n_comps, low=1, integer=True)
        check_number("n_members", self.n_members, low=0, high=1000, integer=True)
