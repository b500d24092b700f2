"""Figures of what the study could have seen, and of the calibration of its tests."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xgrl.report.figures import style

VERDICTS = {  # colour, marker, line
    "superior": (style.BLUE, "^", "-"),
    "inferior": (style.VERMILION, "v", "--"),
    "equivalent": ("#009E73", "o", "-."),
    "inconclusive": ("#777777", "s", ":"),
}


@style.styled
def error_rates(table: pd.DataFrame, nominal: float = 0.05) -> Figure:
    """Error rate of each test under a simulated null, Monte-Carlo 95 %, and the nominal one.

    table: test, rate, se (shares), ours (whether the study decides on it; others open), in the
    order to be drawn; one that is not estimable (NaN) is a gap.
    """
    figure, ax = style.new_axes(6.4, 0.9 + 0.26 * len(table))
    ax.axvline(nominal, color="black", linestyle=":")
    for y, row in enumerate(table.itertuples()):
        mark = {"color": style.BLUE if row.ours else style.VERMILION, "marker": "o", "zorder": 3}
        mark["markerfacecolor"] = mark["color"] if row.ours else "white"
        half = 1.96 * row.se
        style.interval(ax, y, row.rate, max(0, row.rate - half), row.rate + half, **mark)
        style.beside(ax, y, f"{row.rate:.3f}".replace("nan", "–"))
    style.name_rows(ax, table.test)
    note = "(dots: nominal; open: not decided on)"
    ax.set(xlim=(0, None), xlabel=f"share of simulated null studies called different\n{note}")
    return figure


@style.styled
def power_curve(
    rates: pd.DataFrame, closed: pd.DataFrame, blocks: pd.DataFrame, draws: int
) -> Figure:
    """Power by true difference, and the smallest difference found with 80 % power by blocks.

    rates: shift, superior (share of `draws` simulated studies), for shifts of 0 or more. closed:
    shift, power; from the noncentral t. blocks: blocks, points; the row whose column `here` is true
    is this study's.
    """
    figure, (power, size) = style.new_axes(8.2, 3.2, 1, 2)
    power.plot(closed["shift"], closed.power, color=style.BLUE, label="crossed test, closed form")
    simulated = {"color": style.VERMILION, "marker": "s", "linestyle": ""}
    half, label = _half_width(rates.superior, draws), "the larger p, simulated"
    power.errorbar(rates["shift"], rates.superior, half, label=label, **simulated)
    power.axhline(0.8, color="black", linestyle=":")
    power.set(xlabel="true difference, points", ylabel="power", ylim=(0, 1.02))
    power.legend(loc="lower right")
    size.plot(blocks.blocks, blocks.points, color=style.BLUE, marker="o")
    here = blocks[blocks.here]
    size.plot(here.blocks, here.points, markersize=9, **simulated)
    size.set(xlabel="blocks (square: this study)", ylim=(0, None))
    size.set_ylabel("difference found with 80 % power, points")
    return figure


@style.styled
def verdict_rates(rates: pd.DataFrame, margin: float, draws: int) -> Figure:
    """How often each verdict is reached by true difference, Monte-Carlo 95 %; dots: 5 %.

    rates: shift, and a share of `draws` simulated studies for each of the four verdicts.
    """
    figure, ax = style.new_axes(6.4, 3.4)
    for verdict, (colour, marker, line) in VERDICTS.items():
        shift, share, half = rates["shift"], rates[verdict], _half_width(rates[verdict], draws)
        ax.fill_between(shift, share - half, share + half, color=colour, alpha=0.2, linewidth=0)
        shape = {"color": colour, "marker": marker, "linestyle": line, "markersize": 4}
        ax.plot(shift, share, label=verdict, **shape)
    for edge in (-margin, margin):
        ax.axvline(edge, color="#999999", linewidth=1)
    ax.axhline(0.05, color="black", linestyle=":")
    ax.set(xlabel="true difference, points (lines: the margin)", ylim=(-0.02, 1.02))
    ax.set_ylabel("share of simulated studies")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def _half_width(share: pd.Series, draws: int) -> pd.Series:
    """Half the Monte-Carlo 95 % interval of a share of `draws`."""
    return 1.96 * np.sqrt(share * (1 - share) / draws)
