"""The table as a picture: how far each target is reached, and how time and memory grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.table import GOALS, GROWTH, met
from xgrl.report.figures.style import COLOURS, MARKERS, new_axes, styled

LINES = ("-", "--", "-.", ":")


@styled
def bench_figure(
    table: Mapping[str, Any], points: Mapping[str, Sequence[tuple[float, float]]]
) -> Figure:
    """Bars of target over value (value over target where more is better), and lines of time and
    memory over size.

    table: rows as in bench.json. points: by name of a growth, (size, value) each.
    """
    figure, axes = new_axes(10, 4.6, 1, 3, width_ratios=(1.3, 1, 1))
    bars, time, memory = axes
    _bars(bars, table)
    for ax, kind, unit in ((time, "time", "seconds"), (memory, "memory", "MB")):
        _lines(ax, kind, table, points)
        ax.set(
            title=f"Growth of {kind}", xlabel="size, smallest = 1", ylabel=f"{unit}, smallest = 1"
        )
    if time.get_legend_handles_labels()[0]:
        figure.legend(
            *time.get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize=8
        )
    return figure


def _bars(ax: Axes, table: Mapping[str, Any]) -> None:
    rows = [
        (name, row) for name, row in table.items() if name in GOALS and row["target"] is not None
    ]
    for place, (name, row) in enumerate(rows):
        reached = (
            row["value"] / row["target"]
            if GOALS[name].more
            else row["target"] / max(row["value"], 1e-9)
        )
        good = met(row, GOALS[name])
        ax.barh(
            place,
            reached,
            left=0,
            color=COLOURS[0] if good else COLOURS[1],
            hatch="" if good else "//",
            alpha=0.85,
        )
        sign = "≥" if GOALS[name].more else "≤"
        ax.annotate(
            f" {row['value']:.3g} ({sign} {row['target']:g})",
            (max(reached, 1), place),
            va="center",
            fontsize=7,
        )
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.set(
        title="Targets, reached right of the line",
        xlabel="times better than the target",
        xscale="log",
    )
    ax.margins(x=0.3)
    ax.invert_yaxis()


def _lines(
    ax: Axes,
    kind: str,
    table: Mapping[str, Any],
    points: Mapping[str, Sequence[tuple[float, float]]],
) -> None:
    largest = 1.0
    for place, (name, what) in enumerate(GROWTH.items()):
        full = f"growth_{name}_{kind}"
        if full not in points or full not in table:
            continue
        sizes, values = zip(*points[full], strict=True)
        if min(values) <= 0:  # memory that did not grow at all has no logarithm
            continue
        x = [size / sizes[0] for size in sizes]
        largest = max(largest, *x)
        style = {
            "color": COLOURS[place],
            "marker": MARKERS[place],
            "linestyle": LINES[place % len(LINES)],
        }
        ax.plot(x, [value / values[0] for value in values], label=what, **style)
        ax.annotate(
            f"{table[full]['value']:.2f}",
            (x[-1], values[-1] / values[0]),
            fontsize=7,
            color=COLOURS[place],
        )
    ax.plot([1, largest], [1, largest], color="#999999", linewidth=0.8, label="in proportion")
    ax.set(xscale="log", yscale="log")
