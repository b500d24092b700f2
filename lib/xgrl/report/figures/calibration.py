"""Figures of what the study could have seen, and of the calibration of its tests."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xgrl.report.figures import style

VERDICTS = {  # colour (ends of the map of differences), marker, line
    "inferior": ("#B35806", "v", "--"),
    "inconclusive": ("#777777", "s", ":"),
    "equivalent": ("black", "o", "-."),
    "superior": ("#542788", "^", "-"),
}
STUDIES = "{:,} simulated studies {}; intervals: Monte-Carlo 95 %."


@style.styled
def error_rates(table: pd.DataFrame, draws: int, nominal: float = 0.05) -> Figure:
    """Error rate of each test under a simulated null, Monte-Carlo 95 %, and the nominal one.

    table: test, rate, se (shares of `draws`), ours (whether the study decides on it; others open),
    in the order to be drawn; one that is not estimable (NaN) is a gap.
    """
    figure, ax = style.new_axes(6.4, 1.2 + 0.22 * len(table))
    ax.axvline(nominal, color="black", linestyle=":", zorder=0)
    low, high = table.rate - 1.96 * table.se, table.rate + 1.96 * table.se
    ends = table.assign(theta=table.rate, low=low.clip(lower=0), high=high)
    own = {"color": "black", "marker": "o", "zorder": 3}
    other = own | {"color": style.BROWN, "marker": "s", "markerfacecolor": "white"}
    texts = [f"{rate:.3f}".replace("nan", "–") for rate in table.rate]
    style.interval_rows(
        ax, ends, [own if ours else other for ours in table.ours], table.test, texts
    )
    ax.set(
        xlim=(0, None), xlabel="share of simulated studies without a difference called different"
    )
    note = f"Dots: the nominal {nominal:g}; open: not decided on."
    style.caption(figure, f"{STUDIES.format(draws, 'a row')} {note}")
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
    figure, (power, size) = style.new_axes(style.WIDTH, 3.2, 1, 2)
    power.plot(closed["shift"], closed.power, color="black", label="crossed test, closed form")
    simulated = {"color": style.BROWN, "marker": "s", "linestyle": ""}
    half, label = _half_width(rates.superior, draws), "larger p, simulated"
    power.errorbar(rates["shift"], rates.superior, half, label=label, **simulated)
    power.axhline(0.8, color="black", linestyle=":")
    power.set(xlabel="true difference, points", ylabel="power", ylim=(0, 1.02))
    power.legend(loc="lower right", fontsize=8)
    size.plot(blocks.blocks, blocks.points, color="black", marker="o")
    here = blocks[blocks.here]
    size.plot(here.blocks, here.points, markersize=9, **simulated)
    size.set(xlabel="blocks (square: this study)", ylim=(0, None))
    size.set(ylabel="points", title="difference found with 80 % power")
    style.caption(figure, f"{STUDIES.format(draws, 'a square on the left')} Dots: 80 % power.")
    return figure


@style.styled
def verdict_rates(rates: pd.DataFrame, margin: float, draws: int) -> Figure:
    """How often each verdict is reached by true difference, Monte-Carlo 95 %; dots: 5 %.

    rates: shift, and a share of `draws` simulated studies for each of the four verdicts.
    """
    figure, ax = style.new_axes(6.4, 3.6)
    for verdict, (colour, marker, line) in VERDICTS.items():
        shift, share, half = rates["shift"], rates[verdict], _half_width(rates[verdict], draws)
        ax.fill_between(shift, share - half, share + half, color=colour, alpha=0.2, linewidth=0)
        shape = {"color": colour, "marker": marker, "linestyle": line, "markersize": 4}
        ax.plot(shift, share, label=verdict, **shape)
    style.margin_band(ax, margin)
    ax.axhline(0.05, color="black", linestyle=":")
    ax.set(
        xlabel="true difference, points", ylabel="share of simulated studies", ylim=(-0.02, 1.02)
    )
    figure.legend(loc="outside upper center", ncols=4)
    note = f"Dots: 5 %; grey: the margin of {margin:g}."
    style.caption(figure, f"{STUDIES.format(draws, 'a difference')} {note}")
    return figure


def _half_width(share: pd.Series, draws: int) -> pd.Series:
    """Half the Monte-Carlo 95 % interval of a share of `draws`."""
    return 1.96 * np.sqrt(share * (1 - share) / draws)
