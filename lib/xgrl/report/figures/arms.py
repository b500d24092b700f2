"""Figures of all arms: differences to the baseline, by dose too, and costs."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures import style

COSTS = ("tokens", "FLOPs", "seconds")


@style.styled
def arms_forest(table: pd.DataFrame, margin: float) -> Figure:
    """Every arm's difference to the baseline, points, 95 % interval, and p adjusted over arms, or
    where no p is adjusted (too few blocks) its own.

    table: as `xgrl.stats.against_baseline` makes it; an arm that could not be compared keeps its
    row, empty. With a column lambda_max, doses rising, rows have its values and are joined by a
    line. margin: the equivalence margin, drawn as a grey band.
    """
    count, found = table.targets.astype(str).str.count(","), table.theta.notna()
    fewer = found & (count < count.max())
    adjusted = table[["p_max_t", "p_holm"]].astype(float).max(axis=1, skipna=False)
    over = "the larger of maxT's and Holm's over these arms"
    if adjusted.isna().all():
        adjusted, over = table.p.astype(float), "of each arm alone (too few blocks: a description)"
    caption = f"Means over blocks (n), targets, languages; 95 % intervals. p: {over}."
    caption += f" Grey: margin of {margin:g}." + " *: on fewer targets." * bool(fewer.any())
    figure, ax = style.new_axes(style.WIDTH, 1.2 + 0.24 * len(table), caption=caption)
    style.margin_band(ax, margin)
    blocks = table.blocks.map(" (n = {:.0f})".format).where(found, "")
    rows = table.assign(name=table.arm + fewer.map({True: "*", False: ""}) + blocks)
    if "lambda_max" in table:
        rows["name"] = table.lambda_max.map("{:g}: ".format) + rows.name
        ax.plot(table.theta[found], found.index[found], color="#999999", linewidth=1, zorder=1)
        ax.set_title("lambda_max (not to scale): arm")
    texts = style.effects(table, adjusted, "not comparable")
    rows["text"] = texts.str.replace("p not estimable", "described")
    style.interval_rows(ax, rows, map(style.looks(table.arm).get, table.arm))
    ax.set_xlabel(f"arm minus {table.against.dropna().iloc[0]}, points")
    return figure


@style.styled
def cost(table: pd.DataFrame) -> Figure:
    """Training cost as multiples of the baseline's, with 95 % intervals over runs, a panel each.

    table: index arm, columns runs, `..._ratio` and their `..._low` and `..._high`; what was not
    recorded is left out.
    """
    caption = "Means over runs (n) with 95 % t intervals. Line: the baseline in the same block."
    size, grid = (style.WIDTH, 1.2 + 0.2 * len(table)), {"sharey": True, "caption": caption}
    figure, axes = style.new_axes(*size, 1, len(COSTS), **grid)
    names = [f"{arm} (n = {runs:.0f})" for arm, runs in table.runs.items()]
    for ax, label in zip(axes, COSTS, strict=True):
        rows = table[[f"{label.lower()}_ratio{end}" for end in ("", "_low", "_high")]]
        rows = rows.set_axis(["theta", "low", "high"], axis=1).assign(name=names)
        style.interval_rows(ax, rows, map(style.looks(table.index).get, table.index))
        ax.axvline(1, color="black", linewidth=1, zorder=0)
        ax.set_title(label + " (not recorded)" * bool(rows.theta.isna().all()))
        ax.set_xlim(0, max(1.1, 1.04 * ax.get_xlim()[1]))
        ax.xaxis.set_major_locator(MaxNLocator(5))
    axes[1].set_xlabel("training cost, multiple of the baseline's")
    return figure
