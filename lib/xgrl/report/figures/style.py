"""The house style: colours, files of the same bytes for the same numbers, shared parts.

Figures are made without pyplot: no current figure, no backend, no state left behind. A method has
its colour, marker and line in every figure (colours of Okabe and Ito and of Tol, told apart in all
common forms of colour blindness), a variant a shade of the colour and another filling of the
marker; what is no arm is black, grey or brown. Every estimate has its 95 % interval.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import partial, wraps
from math import log10
from pathlib import Path
from textwrap import fill
from typing import Any
from zlib import crc32

import matplotlib
import numpy as np
import pandas as pd
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from xgrl.arms import arms_in_order, method_of
from xgrl.runs.records import write
from xgrl.stats import p_format, t_interval

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9,
    "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "lines.linewidth": 1.5, "lines.markersize": 5, "svg.hashsalt": "xgrl",
    "figure.dpi": 110, "savefig.dpi": 110,
}  # fmt: skip
WIDTH = 7.2  # inches of a page's text: at this size the letters of figures are as large as said
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
GREY, BROWN, TEAL = "#777777", "#A6611A", "#01665E"  # of things that are no arms
# a language that the discriminator reads, or another
SEEN = {
    True: {"color": "black", "marker": "o"},
    False: {"color": BROWN, "marker": "s", "markerfacecolor": "white"},
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
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
    "alignment": ("#DDCC77", "8", (0, (2, 1, 6, 1))),
    "centring": ("#000000", "d", (0, (9, 2, 2, 2))),
    "leace": ("#1F2A44", (6, 1, 0), (0, (8, 1, 2, 1))),
}
OTHER = ("#999999", "8", (0, (2, 2)))  # a method that was added and has no look of its own yet
SHADES = (-0.5, -0.42, -0.34, -0.26, -0.16, 0.14, 0.24, 0.35, 0.47, 0.6)  # to white, to black
FILLINGS = ("none", "left", "right", "top", "bottom")


class NotDrawn(ValueError):
    """A figure that would show nothing, or a single point."""


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under the house style, whatever the caller's is; NotDrawn for fewer than two points."""

    @wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        if (points := sum(map(_points, figure.axes))) < 2:
            raise NotDrawn(f"{'one point' if points else 'nothing'} to draw; the table says it")
        return figure

    return wrapper


def _points(ax: Axes) -> int:
    """How many marks, cells and points of curves: not the lines of chance, margin and the like."""
    drawn = [np.ma.filled(image.get_array(), np.nan).reshape(-1, 1) for image in ax.images]
    drawn += [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    lines = [(line.get_xydata(), line.get_marker()) for line in ax.lines]
    drawn += [xy for xy, marker in lines if marker not in ("", "None") or len(xy) > 2]
    return sum(int(np.isfinite(np.asarray(each, dtype=float)).all(axis=1).sum()) for each in drawn)


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


def draw(folder: Path, name: str, alt: str, figure: Callable, table: Sized, *more: Any) -> None:
    """Draw, save and display figure(table, *more), or say why there is none.

    What an earlier run drew and this one does not is removed.
    """
    try:
        if not len(table):
            raise NotDrawn("nothing to draw")
        drawn = figure(table, *more)
    except NotDrawn as reason:
        for kind in ("svg", "png"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
        return print(f"no figure {name}: {reason}")
    save(drawn, folder, name)
    display(show(drawn, alt))


def new_axes(
    width: float, height: float, rows: int = 1, columns: int = 1, caption: str = "", **grid: Any
) -> tuple[Figure, Any]:
    """A figure of so many inches, its axes as `subplots` gives them, and below them a caption."""
    figure = Figure(figsize=(width, height), layout="constrained")
    text = fill(caption, int(16 * width))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color="#333333")
    return figure, figure.subplots(rows, columns, **grid)


def across(row: Sequence[Axes]) -> Axes:
    """The first axes of a row, in the place of all."""
    for ax in row[1:]:
        ax.remove()
    row[0].set_subplotspec(row[0].get_gridspec()[row[0].get_subplotspec().rowspan.start, :])
    return row[0]


def looks(arms: Iterable[str]) -> dict[str, dict[str, str]]:
    """Colour, marker and line of each arm, in the order of arms.

    Those of a variant follow from its name: of doses (0.001 to 1) the larger is the darker. Only
    where two of one method would be alike, the second takes the next shade that is free.
    """
    drawn, taken = {}, set()
    for arm in arms_in_order(set(arms)):
        method = method_of(arm)
        colour, marker, line = LOOKS.get(method, OTHER)
        drawn[arm] = {"color": colour, "marker": marker, "linestyle": line}
        if suffix := arm[len(method) + 1 :]:
            try:
                step = int(np.clip(round(3 * log10(max(float(suffix), 1e-3))) + 9, 0, 9))
            except ValueError:
                step = crc32(suffix.encode(), 3121) % 10  # 3121: all differ in our study files
            free = [k % 10 for k in range(step, step + 10) if (method, k % 10) not in taken]
            taken.add((method, step := [*free, step][0]))
            shade, rgb = SHADES[step], np.array(to_rgb(colour))
            rgb = rgb * (1 - abs(shade)) + (shade < 0) * abs(shade)
            drawn[arm] |= {"color": to_hex(rgb), "fillstyle": FILLINGS[step % 5]}
    return drawn


def mark(k: int) -> dict[str, str]:
    """Colour and marker of the k-th of several things that have no fixed ones."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}


def legend(figure: Figure, looks: Mapping[str, Mapping], ncols: int | None = None) -> None:
    """One entry a name above the axes."""
    handles = [Line2D([], [], **shape) for shape in looks.values()]
    figure.legend(handles, looks, loc="outside upper center", ncols=ncols or len(looks))


def arm_legend(figure: Figure, runs: pd.DataFrame) -> None:
    """Every arm with its number of seeds for a task. runs: columns arm, intermediate, seed."""
    seeds = runs.groupby(["arm", "intermediate"]).seed.nunique().groupby("arm").unique()
    count = {arm: " or ".join(map(str, sorted(seeds[arm]))) for arm in looks(seeds.index)}
    named = {f"{arm} (n = {count[arm]})": shape for arm, shape in looks(count).items()}
    legend(figure, named, min(len(named), max(2, int(figure.get_figwidth() // 1.8))))


def interval(
    ax: Axes, at: float, value: float, low: float, high: float,
    *, upright: bool = False, linewidth: float = 2.0, alpha: float = 1.0, **mark: Any,
) -> None:  # fmt: skip
    """An estimate's mark on its interval: in row `at`, or upright in column `at`."""
    ends, place = ([at, at], [low, high]) if upright else ([low, high], [at, at])
    ax.plot(ends, place, color=mark["color"], linewidth=linewidth, alpha=alpha)
    ax.plot(*((at, value) if upright else (value, at)), **mark | {"linestyle": ""})


def interval_rows(ax: Axes, table: pd.DataFrame, looks: Iterable[Mapping]) -> None:
    """An estimate on its interval in each row from the top, its name left and a text right of it.

    table: columns name, theta, low, high, and text where there is one. looks: of each
    row; without them rows are only named.
    """
    for y, (shape, row) in enumerate(zip(looks, table.itertuples(), strict=False)):
        interval(ax, y, row.theta, row.low, row.high, **shape)
    for y, text in enumerate(table.get("text", ())):
        ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8)
    ax.set_yticks(range(len(table)), [fill(name, 40) for name in table.name], fontsize=8)
    ax.set_ylim(len(table) - 0.4, -0.6)


def run_rows(ax: Axes, runs: pd.DataFrame, by: str, value: str, guess: str, looks: Mapping) -> None:
    """A row for each name in `looks`: its runs on their mean's 95 % t interval; tick: guess."""
    groups = {name: runs[runs[by] == name] for name in looks}
    rows = [t_interval(own[value].to_numpy(float)) for own in groups.values()]
    table = pd.DataFrame(rows, columns=["theta", "low", "high"])
    table["name"] = [f"{name} (n = {len(own)})" for name, own in groups.items()]
    wide = {"marker": "", "linewidth": 4, "alpha": 0.3}
    interval_rows(ax, table, [shape | wide for shape in looks.values()])
    for y, (name, own) in enumerate(groups.items()):
        spread = y + 0.25 * np.linspace(-1, 1, len(own)) * (len(own) > 1)
        ax.plot(own[value], spread, **looks[name] | {"linestyle": "", "markersize": 4})
        ax.vlines(own[guess].mean(), y - 0.4, y + 0.4, color="black", linewidth=1.5)


def points(value: float, digits: int = 2) -> str:
    """A difference as text, with its sign; 0 has none that rounding gave it."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def effects(table: pd.DataFrame, p: pd.Series, missing: str = "") -> pd.Series:
    """The difference `theta` and p of each row as text."""
    text = table.theta.map(points) + "  p " + p.astype(float).map(p_format)
    return text.where(table.theta.notna(), missing)


def margin_band(ax: Axes, margin: float) -> None:
    """No difference as an upright line, the equivalence margin as a grey band."""
    ax.axvspan(-margin, margin, color="#DDDDDD", zorder=0)
    ax.axvline(0, color="black", linewidth=1)


def heat_map(ax: Axes, table: pd.DataFrame, texts: pd.DataFrame, **scale: Any) -> AxesImage:
    """A table in colours, with texts in black or white, whichever is read on its cell."""
    image = ax.imshow(table, **scale)
    dark = image.to_rgba(table.to_numpy(dtype=float))[..., :3] @ (0.3, 0.6, 0.1) < 0.5
    for i, j in np.argwhere(texts != ""):
        own = {"ha": "center", "va": "center", "fontsize": 7.5}
        ax.text(j, i, texts.iloc[i, j], color="white" if dark[i, j] else "black", **own)
    ax.set_xticks(range(texts.shape[1]), texts.columns)
    ax.set_yticks(range(texts.shape[0]), texts.index)
    ax.grid(visible=False)
    return image


def band(ax: Axes, x: Iterable[float], values: np.ndarray, **shape: Any) -> None:
    """Mean over the columns of (steps, n) with its t interval."""
    mean, low, high = t_interval(values)
    ax.plot(x, mean, **shape)
    ax.fill_between(x, low, high, color=shape["color"], alpha=0.15, linewidth=0)
