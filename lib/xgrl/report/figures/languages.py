"""Figures by language: gain against distance from English."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures.style import new_figure, styled
from xgrl.stats import p_format

SEEN = {True: ("#0072B2", "o"), False: ("#D55E00", "s")}
DRAWS = 1999
COLUMNS = 3


@styled
def typology(table: pd.DataFrame, found: pd.DataFrame, seed: int = 0) -> Figure:
    """Gain by language against each distance from English, with the straight line and what lines
    chance would draw.

    Args:
        table: index language; gain, low, high (points), seen and the distances.
        found: one row a distance: distance, languages, partial, p.
        seed: of the permutations of languages behind the grey band (95 % of the lines when gains
            are dealt out at random).
    """
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(3.5 * columns + 0.3, 3.1 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    seen = table["seen"].astype(str) == "True"
    for ax, row in zip(axes, found.itertuples(), strict=False):
        known = table.dropna(subset=[row.distance])
        x, y = known[row.distance].to_numpy(float), known["gain"].to_numpy()
        grid = np.linspace(x.min(), x.max(), 30)
        slope = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        shuffled = np.random.default_rng(seed).permuted(np.broadcast_to(y, (DRAWS, len(y))), axis=1)
        lines = y.mean() + (shuffled @ slope)[:, None] * (grid - x.mean())
        ax.fill_between(
            grid,
            *np.quantile(lines, [0.025, 0.975], axis=0),
            color="#DDDDDD",
            linewidth=0,
            zorder=0,
        )
        ax.plot(grid, y.mean() + (y @ slope) * (grid - x.mean()), color="black", linewidth=1)
        ax.axhline(0, color="black", linestyle=":", linewidth=1)
        for language, at in known.iterrows():
            colour, marker = SEEN[bool(seen[language])]
            ax.plot(
                [at[row.distance]] * 2,
                [at["low"], at["high"]],
                color=colour,
                linewidth=0.8,
                alpha=0.6,
            )
            ax.plot(
                at[row.distance],
                at["gain"],
                marker=marker,
                color=colour,
                linestyle="",
                markersize=4.5,
            )
            ax.annotate(
                language,
                (at[row.distance], at["gain"]),
                (4, 3),
                textcoords="offset points",
                fontsize=7,
            )
        ax.set_title(f"partial rho {row.partial:+.2f}, p {p_format(row.p)}", fontsize=9)
        ax.set_xlabel(f"{row.distance} distance from English")
        ax.xaxis.set_major_locator(MaxNLocator(5))
    for ax in axes[len(found) :]:
        ax.set_visible(False)
    for ax in axes[::columns]:
        ax.set_ylabel("gain, points")
    labels = {True: "among the discriminator's languages", False: "not among them"}
    handles = [
        Line2D([], [], linestyle="", color=SEEN[k][0], marker=SEEN[k][1], label=labels[k])
        for k in SEEN
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=1 if columns == 1 else 2)
    return figure
