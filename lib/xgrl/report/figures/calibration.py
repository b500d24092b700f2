"""Figures of what the study could have seen, and of the calibration of its tests."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xgrl.report.figures import style

VERDICTS = {  # colour (ends of the map of differences), marker, line
    "inferior": ("#B35806", "v", "--"),
    "inconclusive": ("#666666", "s", ":"),
    "equivalent": ("black", "o", "-."),
    "superior": ("#542788", "^", "-"),
}


@style.styled
def error_rates(table: pd.DataFrame, draws: int, nominal: float = 0.05) -> Figure:
    """Error rate of each test under a simulated null, Monte-Carlo 95 %, and the nominal one.

    table: test, rate, se (shares of `draws`), ours (whether the study decides on it; others open),
    in the order to be drawn; one that is not estimable (NaN) is a gap.
    """
    caption = f"{draws:,} simulated studies a mark, Monte-Carlo 95 % intervals. Dots: the nominal"
    caption += f" {nominal:g}. Open: tests that the study does not decide on."
    figure, ax = style.new_axes(6.4, 1.2 + 0.22 * len(table), caption=caption)
    ax.axvline(nominal, color="black", linestyle=":", zorder=0)
    rows = table.rename(columns={"test": "name", "rate": "theta"})
    rows["text"] = [f"{rate:.3f}".replace("nan", "–") for rate in table.rate]
    rows["low"], rows["high"] = (rows.theta + side * 1.96 * table.se for side in (-1, 1))
    rows["low"] = rows.low.clip(lower=0)
    own, other = style.SEEN.values()
    style.interval_rows(ax, rows, [own if ours else other for ours in table.ours])
    ax.set(xlim=(0, None), xlabel="share of null studies that are called different")
    return figure


@style.styled
def verdict_rates(
    rates: pd.DataFrame, closed: pd.DataFrame, blocks: pd.DataFrame, margin: float, draws: int
) -> Figure:
    """How often each verdict is reached by true difference, and what could be found by blocks.

    rates: shift, and a share of `draws` simulated studies for each of the four verdicts. closed:
    shift, power; from the noncentral t. blocks: blocks, points that are found with 80 % power; the
    row whose column `here` is true is this study's.
    """
    caption = f"Bands: Monte-Carlo 95 % of {draws:,} simulated studies a mark; thin line: power of "
    caption += f"the crossed test. Dots: 5, 80 %; grey: margin of {margin:g}; square: this study."
    grid = {"caption": caption, "width_ratios": (2, 1)}
    figure, (ax, size) = style.new_axes(style.WIDTH, 3.8, 1, 2, **grid)
    style.margin_band(ax, margin)
    for verdict, (colour, marker, line) in VERDICTS.items():
        shift, share = rates["shift"], rates[verdict]
        half = 1.96 * np.sqrt(share * (1 - share) / draws)
        ax.fill_between(shift, share - half, share + half, color=colour, alpha=0.2, linewidth=0)
        shape = {"color": colour, "marker": marker, "linestyle": line, "markersize": 4}
        ax.plot(shift, share, label=verdict, **shape)
    ax.plot(closed["shift"], closed.power, color="black", linewidth=0.8, zorder=1)
    for level in (0.05, 0.8):
        ax.axhline(level, color="black", linestyle=":")
    ax.set(xlabel="true difference, points", ylabel="share of simulated studies")
    ax.set_xlim(1.05 * rates["shift"].min(), 1.05 * rates["shift"].max())
    figure.legend(loc="outside upper center", ncols=4)
    size.plot(blocks.blocks, blocks.points, color="black", marker="o")
    here = blocks[blocks.here]
    size.plot(here.blocks, here.points, markersize=9, color=style.BROWN, marker="s")
    size.set(xlabel="blocks", ylim=(0, None), ylabel="points found with 80 % power")
    return figure
