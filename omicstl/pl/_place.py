"""Labels of points that lie on nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import INK, mix
from ._text import text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

DISTANCES = (6.0, 13.0, 22.0, 34.0, 48.0)
DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))
RADIUS = 4.0  # of points, in points
FAR = 10.0  # points from which a label has a line to its point


def place_labels(ax: Axes, x: np.ndarray, y: np.ndarray, names: dict[int, str], *, size: float) -> list[Annotation]:
    """
    Write names beside points, the first names first, where they touch neither a point nor each other nor the frame.

    Parameters
    ----------
    ax
        Axes with their final limits.
    x, y
        All points, in units of the data; they are what labels keep off.
    names
        Text by number of the point. Those for which there is no room are left out.
    size
        Size of the font in points.
    """
    from matplotlib.patheffects import withStroke

    figure: Any = ax.get_figure(root=True)
    figure.draw_without_rendering()  # settles the layout
    scale = 72 / figure.dpi
    dots = ax.transData.transform(np.column_stack([x, y])) * scale
    frame = ax.get_window_extent()
    low, high = np.array([frame.x0, frame.y0]) * scale + 1, np.array([frame.x1, frame.y1]) * scale - 1
    taken = [np.array([*dot - RADIUS, *dot + RADIUS]) for dot in dots]
    drawn = []
    for i, name in names.items():
        width, height = text_width(name, size) + 2, (1.25 * name.count("\n") + 1.15) * size
        for distance in DISTANCES:
            spot = _free(dots[i], distance, width, height, taken, low, high)
            if spot is not None:
                break
        else:
            continue
        taken.append(spot)
        middle = (spot[:2] + spot[2:]) / 2 - dots[i]
        line = {"arrowstyle": "-", "color": mix(INK, 0.4), "linewidth": 0.6, "shrinkA": 0, "shrinkB": RADIUS}
        drawn.append(
            ax.annotate(
                name,
                (float(x[i]), float(y[i])),
                (float(middle[0]), float(middle[1])),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=size,
                color=INK,
                arrowprops=line if distance > FAR else None,
                zorder=5,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
        )
    return drawn


def _free(
    dot: np.ndarray,
    distance: float,
    width: float,
    height: float,
    taken: list[np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray | None:
    """Return the first box at that distance that is inside the frame and touches nothing."""
    for right, up in DIRECTIONS:
        step = distance / np.hypot(right, up)
        centre = dot + np.array([right * (step + width / 2), up * step + np.sign(up) * height / 2])
        box = np.concatenate([centre - [width / 2, height / 2], centre + [width / 2, height / 2]])
        if (box[:2] < low).any() or (box[2:] > high).any():
            continue
        others = np.array(taken)
        apart = (others[:, 2:] <= box[:2]).any(axis=1) | (others[:, :2] >= box[2:]).any(axis=1)
        if apart.all():
            return box
    return None
