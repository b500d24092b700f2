"""The house style: colours, files of the same bytes for the same numbers, shared parts.

Figures are made without pyplot, so there is no current figure, no backend to choose and no state to
leave behind. Arms have fixed colours (Okabe and Ito's palette, told apart in all common forms of
colour blindness), and each also has its own marker and line style, so that print in grey loses
nothing. Differences use a diverging map centred on 0. Every estimate is drawn with its 95 %
interval.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xgrl.arms import arms_in_order, method_of
from xgrl.runs.records import write
from xgrl.stats import t_interval

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "lines.linewidth": 1.5, "lines.markersize": 5, "svg.hashsalt": "xgrl",
    "figure.dpi": 110, "savefig.dpi": 110,
}  # fmt: skip
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
BLUE, VERMILION = COLOURS[:2]
# a language that the discriminator reads, or another
SEEN = {True: {"color": BLUE, "marker": "o"}, False: {"color": VERMILION, "marker": "s"}}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES = ("-", "--", "-.", ":")
LOOKS = {  # method of an arm: colour, marker, line
    "none": ("#777777", "D", ":"),
    "standard": ("#0072B2", "o", "-"),
    "control": ("#56B4E9", "^", "-."),
    "dann": ("#D55E00", "s", "--"),
    "dann-source": ("#661100", (4, 1, 0), (0, (4, 1, 2, 1))),
    "dann-source-genre": ("#CC6677", (4, 1, 45), (0, (2, 1))),
    "shuffled": ("#E69F00", "v", (0, (1, 1))),
    "noise": ("#44AA99", "x", (0, (1, 2))),
    "pseudo-domains": ("#AAAA00", "+", (0, (6, 1, 1, 1))),
    "length-adversary": ("#6699CC", "H", (0, (2, 4))),
    "cdan": ("#CC79A7", "P", (0, (5, 1))),
    "wdgrl": ("#882255", "X", (0, (3, 1, 1, 1))),
    "mlm": ("#009E73", "*", (0, (7, 2))),
    "translated": ("#117733", "<", (0, (5, 1, 1, 1, 1, 1))),
    "robust-adversarial": ("#332288", ">", (0, (9, 3))),
    "robust-smoothing": ("#AA4499", "h", (0, (1, 3))),
    "lexical": ("#999933", "p", (0, (3, 3))),
    "alignment": ("#44AA99", "H", (0, (2, 1, 6, 1))),
    "centring": ("#000000", "d", (0, (9, 2, 2, 2))),
    "leace": ("#661100", "8", (0, (6, 1, 1, 1))),
}
OTHER = ("#999999", "8", (0, (2, 2)))  # a method that was added and has no look of its own yet


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under the house style without touching the caller's settings."""

    @wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def save(figure: Figure, folder: str | Path, name: str) -> Path:
    """Write name.svg and name.png atomically, without dates; returns the path of the png."""
    with matplotlib.rc_context(STYLE):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            path = Path(folder) / f"{name}.{kind}"
            write(path, partial(figure.savefig, format=kind, metadata=metadata))
    return path


def show(figure: Figure, alt: str) -> Image:
    """The figure as a picture for a notebook's cell, with words for those who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Image(buffer.getvalue(), alt=alt)


def draw(
    folder: Path,
    name: str,
    alt: str,
    figure: Callable[..., Figure],
    table: pd.DataFrame,
    *more: Any,
) -> None:
    """Draw, save and display a figure of a table, or say that the table has no rows.

    figure: a function of the table and of what else is given.
    """
    if not len(table):
        return print(f"no figure {name}: nothing to draw")
    drawn = figure(table, *more)
    save(drawn, folder, name)
    display(show(drawn, alt))


def new_axes(width: float, height: float, rows=1, columns=1, **grid: Any) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes as `subplots` gives them."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **grid)


def look(arm: str) -> dict[str, str]:
    """Colour, marker and line of an arm; a variant has those of its method."""
    colour, marker, line = LOOKS.get(method_of(arm), OTHER)
    return {"color": colour, "marker": marker, "linestyle": line}


def mark(k: int) -> dict[str, str]:
    """Colour and marker of the k-th of several things that have no fixed ones."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}


def legend(figure: Figure, looks: Mapping[str, Mapping], ncols: int | None = None) -> None:
    """One entry a name above the axes."""
    handles = [Line2D([], [], **shape) for shape in looks.values()]
    figure.legend(handles, looks, loc="outside upper center", ncols=ncols or len(looks))


def arm_legend(figure: Figure, arms: Iterable[str]) -> None:
    looks = {arm: look(arm) for arm in arms_in_order(set(arms))}
    legend(figure, looks, min(len(looks), max(2, int(figure.get_figwidth() // 1.5))))


def interval(
    ax: Axes, at: float, value: float, low: float, high: float,
    *, upright: bool = False, linewidth: float = 2.0, alpha: float = 1.0, **mark: Any,
) -> None:  # fmt: skip
    """An estimate's mark on its interval: in row `at`, or upright in column `at`."""
    ends, place = ([at, at], [low, high]) if upright else ([low, high], [at, at])
    ax.plot(ends, place, color=mark["color"], linewidth=linewidth, alpha=alpha)
    ax.plot(*((at, value) if upright else (value, at)), **mark | {"linestyle": ""})


def name_rows(ax: Axes, names: Iterable[str]) -> None:
    """Row k from the top is called by the k-th name."""
    names = list(names)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def beside(ax: Axes, row: float, text: str) -> None:
    """A text to the right of a row."""
    ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8)


def margin_band(ax: Axes, margin: float, upright: bool = True) -> None:
    """No difference as a line, the equivalence margin as a grey band: upright, or lying."""
    (ax.axvspan if upright else ax.axhspan)(-margin, margin, color="#DDDDDD", zorder=0)
    (ax.axvline if upright else ax.axhline)(0, color="black", linewidth=1)


def layer_axis(ax: Axes) -> None:
    """Layers of the encoder on the x axis."""
    ax.set_xlabel("layer (0: embeddings)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def cell_texts(ax: Axes, texts: pd.DataFrame, white: np.ndarray, fontsize: float) -> None:
    """A heat map's names of rows and columns, and its texts; in white where `white`."""
    for i, j in np.argwhere(texts != ""):
        text, colour = texts.iloc[i, j], "white" if white[i, j] else "black"
        ax.text(j, i, text, ha="center", va="center", fontsize=fontsize, color=colour)
    ax.set_xticks(range(texts.shape[1]), texts.columns)
    ax.set_yticks(range(texts.shape[0]), texts.index)
    ax.grid(visible=False)


def strip(
    ax: Axes, runs: pd.DataFrame, groups: list[str], value: str, ends: tuple[str, str] | None
) -> None:
    """One mark a run by group, arms side by side; with `ends`, else a t interval a group."""
    arms = arms_in_order(set(runs.arm))
    width = min(0.22, 0.85 / max(len(arms), 1))
    for (group, arm), own in runs.groupby(["intermediate", "arm"]):
        x = groups.index(group) + (arms.index(arm) - (len(arms) - 1) / 2) * width
        spread = x + np.linspace(-0.32, 0.32, len(own)) * width * (len(own) > 1)
        shape = look(arm) | {"linestyle": "", "markersize": 4}
        ax.plot(spread, own[value], **shape)
        if ends:
            ax.vlines(spread, own[ends[0]], own[ends[1]], color=shape["color"], linewidth=1)
        else:
            _, low, high = t_interval(own[value].to_numpy(dtype=float))
            ax.vlines(x, low, high, color=shape["color"], linewidth=1.5)
    ax.set_xticks(range(len(groups)), groups, rotation=15)
    ax.set_xlim(-0.6, max(len(groups), 1) - 0.4)


def band(ax: Axes, x: Iterable[float], values: np.ndarray, **shape: Any) -> None:
    """Mean over the columns of (steps, n) with its t interval."""
    mean, low, high = t_interval(values)
    ax.plot(x, mean, **shape)
    ax.fill_between(x, low, high, color=shape["color"], alpha=0.15, linewidth=0)
