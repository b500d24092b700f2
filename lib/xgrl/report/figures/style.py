"""The house style: colours, files that are the same bytes for the same numbers, and what several
figures share.

Figures are made without pyplot, so there is no current figure, no backend to choose and no state to
leave behind. `save` writes svg and png that are the same bytes for the same numbers. Arms have
fixed colours (Okabe and Ito's palette, told apart in all common forms of colour blindness), and
each also has its own marker and line style, so that print in grey loses nothing. Differences use a
diverging map centred on 0. Every estimate is drawn with its 95 % interval.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import t as student

from xgrl.arms import arms_in_order, method_of
from xgrl.runs.records import write_bytes

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "lines.linewidth": 1.5,
    "lines.markersize": 5, "svg.hashsalt": "xgrl", "figure.dpi": 110, "savefig.dpi": 110,
}  # fmt: skip
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES = ("-", "--", "-.", ":")
LOOKS = {  # method of an arm: colour, marker, line
    "none": ("#777777", "D", ":"),
    "standard": ("#0072B2", "o", "-"),
    "control": ("#56B4E9", "^", "-."),
    "dann": ("#D55E00", "s", "--"),
    "shuffled": ("#E69F00", "v", (0, (1, 1))),
    "cdan": ("#CC79A7", "P", (0, (5, 1))),
    "wdgrl": ("#882255", "X", (0, (3, 1, 1, 1))),
    "mlm": ("#009E73", "*", (0, (7, 2))),
    "translated": ("#117733", "<", (0, (5, 1, 1, 1, 1, 1))),
    "robust-adversarial": ("#332288", ">", (0, (9, 3))),
    "robust-smoothing": ("#AA4499", "h", (0, (1, 3))),
    "lexical": ("#999933", "p", (0, (3, 3))),
    "centring": ("#000000", "d", (0, (9, 2, 2, 2))),
}
OTHER = ("#999999", "8", (0, (2, 2)))  # a method that was added and has no look of its own yet


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under the house style without touching the caller's settings."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def save(figure: Figure, folder: str | Path, name: str) -> Path:
    """Write `folder/name.svg` and `folder/name.png` atomically, without dates; returns the path of
    the png.
    """
    with matplotlib.rc_context(STYLE):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            write_bytes(Path(folder) / f"{name}.{kind}", buffer.getvalue())
    return Path(folder) / f"{name}.png"


def show(figure: Figure, alt: str) -> Image:
    """The figure as a picture for a notebook's cell, with words for those who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Image(buffer.getvalue(), alt=alt)


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def look(arm: str) -> dict[str, str]:
    """Colour, marker and line of an arm; a variant has those of its method."""
    colour, marker, line = LOOKS.get(method_of(arm), OTHER)
    return {"color": colour, "marker": marker, "linestyle": line}


def arm_legend(figure: Figure, arms: pd.Series) -> None:
    shown = arms_in_order(set(arms))
    columns = min(len(shown), max(2, int(figure.get_figwidth() // 1.5)))
    figure.legend(
        [Line2D([], [], **look(arm)) for arm in shown],
        shown,
        loc="outside upper center",
        ncols=columns,
    )


def strip(
    ax: Axes, runs: pd.DataFrame, groups: list[str], value: str, interval: tuple[str, str] | None
) -> None:
    """One mark a run, by group, arms side by side; exact intervals where there are any, else mean
    and t interval a group.
    """
    arms = arms_in_order(set(runs.arm))
    width = min(0.22, 0.85 / max(len(arms), 1))
    for (group, arm), part in runs.groupby(["intermediate", "arm"]):
        x = groups.index(group) + (arms.index(arm) - (len(arms) - 1) / 2) * width
        spread = x + np.linspace(-0.32, 0.32, len(part)) * width * (len(part) > 1)
        colour, marker = look(arm)["color"], look(arm)["marker"]
        ax.plot(spread, part[value], marker=marker, color=colour, linestyle="", markersize=4)
        if interval:
            ax.vlines(spread, part[interval[0]], part[interval[1]], color=colour, linewidth=1)
        else:
            _, low, high = t_interval(part[[value]].to_numpy(dtype=float).T)
            ax.vlines(x, low, high, color=colour, linewidth=1.5)
    ax.set_xticks(range(len(groups)), groups, rotation=15)
    ax.set_xlim(-0.6, max(len(groups), 1) - 0.4)


def band(ax: Axes, x: pd.Index, values: np.ndarray, arm: str, marked: bool = False) -> None:
    """Mean over the columns of (steps, seeds) with its t interval."""
    shape = look(arm) if marked else look(arm) | {"marker": ""}
    mean, low, high = t_interval(values)
    ax.plot(x, mean, **shape)
    ax.fill_between(x, low, high, color=shape["color"], alpha=0.15, linewidth=0)


def t_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and 95 % t interval over the last axis; no interval (NaN) where there is one value."""
    n = np.isfinite(values).sum(-1)
    mean = np.nanmean(values, -1)
    variance = np.nansum((values - mean[..., None]) ** 2, -1) / np.where(n > 1, n - 1, np.nan)
    half = student.ppf(0.975, np.maximum(n - 1, 1)) * np.sqrt(variance / n)
    return mean, mean - half, mean + half
