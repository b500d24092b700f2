"""Figures of what the study could have seen, and of whether its tests are honest."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from xgrl.plots.style import new_figure, styled


@styled
def calibration(table: pd.DataFrame, nominal: float = 0.05) -> Figure:
    """Type-I error of each method under a simulated null, with the Monte-Carlo 95 % interval, against the nominal level.

    Args:
        table: method, error, low, high (shares); methods are drawn in the order given.
    """
    figure = new_figure(6, 0.9 + 0.3 * len(table))
    ax = figure.subplots()
    ax.axvline(nominal, color="black", linestyle=":")
    for y, row in enumerate(table.itertuples()):
        ax.plot([row.low, row.high], [y, y], color="#0072B2", linewidth=2)
        ax.plot(row.error, y, marker="o", color="#0072B2")
    ax.set_yticks(range(len(table)), table.method)
    ax.invert_yaxis()
    ax.set(xlim=(0, None), xlabel="share of simulated null studies called different (dots: nominal)")
    return figure


@styled
def power_curve(table: pd.DataFrame) -> Figure:
    """Smallest effect found with 80 % power against the number of blocks.

    Args:
        table: blocks, points; the row whose column `here` is true is this study's.
    """
    figure = new_figure(4.6, 3.0)
    ax = figure.subplots()
    ax.plot(table.blocks, table.points, color="#0072B2", marker="o")
    ax.plot(table.blocks[table.here], table.points[table.here], color="#D55E00", marker="s", markersize=9, linestyle="")
    ax.set(xlabel="blocks (square: this study)", ylabel="detectable effect, points", ylim=(0, None))
    return figure
