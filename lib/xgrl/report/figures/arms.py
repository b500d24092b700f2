"""Figures of all arms: their differences to the baseline, the dose of the adversary, what each
costs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures.style import look, new_figure, styled
from xgrl.stats import p_format

COSTS = {
    "tokens_ratio": ("tokens", "o"),
    "flops_ratio": ("FLOPs", "s"),
    "seconds_ratio": ("seconds", "^"),
}


@styled
def arms_forest(table: pd.DataFrame, margin: float) -> Figure:
    """Every arm's difference to the baseline in points with its 95 % interval, and p adjusted over
    the arms.

    Args:
        table: as `xgrl.stats.against_baseline` makes it; an arm that could not be compared keeps
            its row, empty.
        margin: the equivalence margin, drawn as a grey band.
    """
    figure = new_figure(7.2, 1.2 + 0.32 * len(table))
    ax = figure.subplots()
    ax.axvspan(-margin, margin, color="#DDDDDD", zorder=0)
    ax.axvline(0, color="black", linewidth=1)
    for y, row in enumerate(table.itertuples()):
        style = look(row.arm)
        ax.plot([row.low, row.high], [y, y], color=style["color"], linewidth=2)
        ax.plot(row.theta, y, marker=style["marker"], color=style["color"], markersize=7)
        text = (
            f"{row.theta:+.2f}  p {p_format(row.p_max_t)}"
            if np.isfinite(row.theta)
            else "not comparable"
        )
        ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8)
    most = table.targets.astype(str).str.count(",").max()
    partial = table.targets.astype(str).str.count(",") < most
    names = [f"{arm}*" if part else arm for arm, part in zip(table.arm, partial, strict=True)]
    ax.set_yticks(range(len(table)), names)
    ax.set(ylim=(len(table) - 0.4, -0.6))
    note = " (*: on the targets it has)" if partial.any() else ""
    ax.set(
        xlabel=f"arm - {table.against.iloc[0]}, points{note}; grey: margin of {margin:g}; p by maxT"
    )
    return figure


@styled
def dose_response(table: pd.DataFrame, margin: float) -> Figure:
    """Difference to the baseline, in points with 95 % intervals, at every lambda_max that was run;
    doses equally spaced.

    Args:
        table: lambda_max, arm, theta, low, high; one row an arm, doses rising.
    """
    figure = new_figure(5.2, 3.4)
    ax = figure.subplots()
    doses = sorted(table.lambda_max.unique())
    ax.axhspan(-margin, margin, color="#DDDDDD", zorder=0)
    ax.axhline(0, color="black", linewidth=1)
    x = (
        table.lambda_max.map(doses.index).astype(float)
        + 0.15 * table.groupby("lambda_max").cumcount()
    )
    ax.plot(x, table.theta, color="#999999", linewidth=1, zorder=1)
    for place, row in zip(x, table.itertuples(), strict=True):
        style = look(row.arm)
        ax.plot([place, place], [row.low, row.high], color=style["color"], linewidth=2)
        ax.plot(place, row.theta, marker=style["marker"], color=style["color"], markersize=7)
    labels = [f"{dose:g}\n" + "\n".join(table.arm[table.lambda_max == dose]) for dose in doses]
    ax.set_xticks(range(len(doses)), labels)
    ax.set(xlim=(-0.5, len(doses) - 0.5), xlabel="lambda_max (not to scale) and arm")
    ax.set_ylabel(f"arm - {table.against.iloc[0]}, points (grey: margin)")
    return figure


@styled
def cost(table: pd.DataFrame) -> Figure:
    """Tokens, FLOPs and seconds of an arm's training as multiples of the baseline's, with 95 %
    intervals over runs.

    Args:
        table: index arm, columns `..._ratio` and their `..._low` and `..._high`; what was not
            recorded is left out.
    """
    figure = new_figure(6.4, 1.3 + 0.34 * len(table))
    ax = figure.subplots()
    ax.axvline(1, color="black", linewidth=1)
    handles = []
    for k, (name, (label, marker)) in enumerate(COSTS.items()):
        if table[name].isna().all():
            label += " (not recorded)"
        for y, row in enumerate(table.itertuples()):
            place = y + (k - 1) * 0.22
            ends = [getattr(row, f"{name}_low"), getattr(row, f"{name}_high")]
            ax.plot(ends, [place, place], color=look(row.Index)["color"], linewidth=1.5)
            ax.plot(
                getattr(row, name),
                place,
                marker=marker,
                color=look(row.Index)["color"],
                linestyle="",
            )
        handles.append(Line2D([], [], marker=marker, color="#444444", linestyle="", label=label))
    ax.set_yticks(range(len(table)), table.index)
    ax.set(
        ylim=(len(table) - 0.4, -0.6),
        xlim=(0, None),
        xlabel="training cost, multiple of the baseline's in the same block",
    )
    ax.xaxis.set_major_locator(MaxNLocator(6))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure
