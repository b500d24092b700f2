"""Figures of what the study could have seen, and of whether its tests are honest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xgrl.report.figures.style import new_figure, styled

VERDICTS = {  # colour, marker, line
    "superior": ("#0072B2", "^", "-"),
    "inferior": ("#D55E00", "v", "--"),
    "equivalent": ("#009E73", "o", "-."),
    "inconclusive": ("#777777", "s", ":"),
}


@styled
def calibration(table: pd.DataFrame, nominal: float = 0.05) -> Figure:
    """Error rate of each test under a simulated null with its Monte-Carlo 95 % interval, against
    the nominal level.

    Args:
        table: test, rate, se (shares), ours (whether the study decides on it; others open), in the
            order to be drawn.
    """
    figure = new_figure(6.4, 0.9 + 0.26 * len(table))
    ax = figure.subplots()
    ax.axvline(nominal, color="black", linestyle=":")
    for y, row in enumerate(table.itertuples()):
        colour = "#0072B2" if row.ours else "#D55E00"
        ax.plot(
            [max(0, row.rate - 1.96 * row.se), row.rate + 1.96 * row.se],
            [y, y],
            color=colour,
            linewidth=2,
        )
        ax.plot(
            row.rate,
            y,
            marker="o",
            color=colour,
            markerfacecolor=colour if row.ours else "white",
            zorder=3,
        )
        ax.text(
            1.02, y, f"{row.rate:.3f}", transform=ax.get_yaxis_transform(), va="center", fontsize=8
        )
    ax.set_yticks(range(len(table)), table.test)
    ax.invert_yaxis()
    ax.set(
        xlim=(0, None),
        xlabel="share of simulated null studies called different\n(dots: nominal; open: not decided "
        "on)",
    )
    return figure


@styled
def power_curve(
    rates: pd.DataFrame, closed: pd.DataFrame, blocks: pd.DataFrame, draws: int
) -> Figure:
    """Power of this study against the true difference, and the smallest difference found with 80 %
    power by blocks.

    Args:
        rates: shift, superior (share of `draws` simulated studies), for shifts of 0 or more.
        closed: shift, power; from the noncentral t.
        blocks: blocks, points; the row whose column `here` is true is this study's.
    """
    figure = new_figure(8.2, 3.2)
    power, size = figure.subplots(1, 2)
    half = 1.96 * np.sqrt(rates.superior * (1 - rates.superior) / draws)
    power.plot(closed["shift"], closed.power, color="#0072B2", label="crossed test, closed form")
    power.errorbar(
        rates["shift"],
        rates.superior,
        half,
        color="#D55E00",
        marker="s",
        linestyle="",
        label="the larger p, simulated",
    )
    power.axhline(0.8, color="black", linestyle=":")
    power.set(xlabel="true difference, points", ylabel="power", ylim=(0, 1.02))
    power.legend(loc="lower right")
    size.plot(blocks.blocks, blocks.points, color="#0072B2", marker="o")
    size.plot(
        blocks.blocks[blocks.here],
        blocks.points[blocks.here],
        color="#D55E00",
        marker="s",
        markersize=9,
        linestyle="",
    )
    size.set(
        xlabel="blocks (square: this study)",
        ylabel="difference found with 80 % power, points",
        ylim=(0, None),
    )
    return figure


@styled
def verdict_rates(rates: pd.DataFrame, margin: float, draws: int) -> Figure:
    """How often each verdict is reached at each true difference, with Monte-Carlo 95 % bands; dots:
    the nominal 5 %.

    Args:
        rates: shift, and a share of `draws` simulated studies for each of the four verdicts.
    """
    figure = new_figure(6.4, 3.4)
    ax = figure.subplots()
    for verdict, (colour, marker, line) in VERDICTS.items():
        share = rates[verdict]
        half = 1.96 * np.sqrt(share * (1 - share) / draws)
        ax.fill_between(
            rates["shift"], share - half, share + half, color=colour, alpha=0.2, linewidth=0
        )
        ax.plot(
            rates["shift"],
            share,
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=4,
            label=verdict,
        )
    for edge in (-margin, margin):
        ax.axvline(edge, color="#999999", linewidth=1)
    ax.axhline(0.05, color="black", linestyle=":")
    ax.set(
        xlabel="true difference, points (lines: the margin)",
        ylabel="share of simulated studies",
        ylim=(-0.02, 1.02),
    )
    figure.legend(loc="outside upper center", ncols=4)
    return figure
