"""Figures of the comparison of arms: by target, by language, by block."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from xgrl.report.figures.style import COLOURS, LINES, MARKERS, new_figure, styled


@styled
def forest(per_task: pd.DataFrame, per_language: pd.DataFrame, margin: float) -> Figure:
    """Effect on each target (squares) and on each of its languages (dots), in points, with 95 %
    intervals.

    Args:
        per_task: target, theta, low, high. per_language: target, language, theta, low, high.
        margin: the equivalence margin, drawn as a grey band.
    """
    rows = []
    for task in per_task.itertuples():
        rows.append((str(task.target), task.theta, task.low, task.high, True))
        languages = per_language[per_language.target == task.target]
        rows += [
            (f"{each.language}", each.theta, each.low, each.high, False)
            for each in languages.itertuples()
        ]
    figure = new_figure(6.5, 1.2 + 0.2 * len(rows))
    ax = figure.subplots()
    ax.axvspan(-margin, margin, color="#DDDDDD", zorder=0)
    ax.axvline(0, color="black", linewidth=1)
    for y, (_, theta, low, high, whole) in enumerate(rows):
        ax.plot(
            [low, high],
            [y, y],
            color="#D55E00" if whole else "#0072B2",
            linewidth=2.5 if whole else 1.2,
        )
        ax.plot(
            theta,
            y,
            marker="s" if whole else "o",
            color="#D55E00" if whole else "#0072B2",
            markersize=7 if whole else 4,
        )
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row[4] else "normal")
    ax.invert_yaxis()
    ax.set(xlabel=f"treatment - baseline, points (grey: margin of {margin:g})")
    return figure


@styled
def heatmap(per_language: pd.DataFrame) -> Figure:
    """Differences by language and target on a diverging map centred on 0; each cell: points, and
    half its 95 % interval.

    Args:
        per_language: target, language, theta, low, high.
    """
    values = per_language.pivot(index="language", columns="target", values="theta")
    width = per_language.assign(width=per_language.high - per_language.low)
    half = width.pivot(index="language", columns="target", values="width") / 2
    limit = max(float(np.nanmax(np.abs(values.to_numpy()))), 0.1)
    figure = new_figure(1.6 + 1.25 * values.shape[1], 1.2 + 0.34 * values.shape[0])
    ax = figure.subplots()
    ax.set_facecolor("#EEEEEE")
    image = ax.imshow(values, cmap="PuOr", norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    for (i, j), value in np.ndenumerate(values.to_numpy()):
        if np.isfinite(value):
            dark = abs(value) > 0.65 * limit
            text = (
                f"{value:+.1f} ±{half.iloc[i, j]:.1f}"
                if np.isfinite(half.iloc[i, j])
                else f"{value:+.1f}"
            )
            ax.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if dark else "black",
            )
    ax.set_xticks(range(values.shape[1]), values.columns, rotation=20, ha="right")
    ax.set_yticks(range(values.shape[0]), values.index)
    ax.grid(False)
    figure.colorbar(image, label="treatment - baseline, points")
    return figure


@styled
def paired_blocks(
    blocks: pd.DataFrame, baseline: str, treatment: str, theta: float, ci: tuple[float, float]
) -> Figure:
    """The blocks that the test counts: both arms joined by a line, and the differences with their
    mean and interval.

    Args:
        blocks: intermediate, seed, baseline, treatment (zero-shot macro), m_b (their difference):
            one row a block, in points.
        theta, ci: the estimate and its 95 % interval.
    """
    figure = new_figure(8, 3.4)
    slopes, strip = figure.subplots(1, 2)
    tasks = sorted(blocks.intermediate.unique())
    for k, task in enumerate(tasks):
        part = blocks[blocks.intermediate == task]
        look = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
        slopes.plot(
            [0, 1],
            part[["baseline", "treatment"]].to_numpy().T,
            linestyle=LINES[k % len(LINES)],
            linewidth=1,
            **look,
        )
        strip.plot(part.m_b, k + np.linspace(-0.2, 0.2, len(part)), linestyle="", **look)
    slopes.set_xticks([0, 1], [baseline, treatment])
    slopes.set(xlim=(-0.2, 1.2), ylabel="zero-shot macro, points", title="each line one block")
    strip.axvline(0, color="black", linewidth=1)
    strip.plot(ci, [len(tasks)] * 2, color="black", linewidth=2.5)
    strip.plot(theta, len(tasks), marker="D", color="black", markersize=8)
    strip.set_yticks(range(len(tasks) + 1), [*tasks, "mean, 95 %"])
    strip.set(ylim=(-0.6, len(tasks) + 0.6), xlabel="difference, points", title="block differences")
    return figure
