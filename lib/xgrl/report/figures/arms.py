"""Figures of all arms: differences to the baseline, the dose of the adversary, costs."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures import style
from xgrl.stats import p_format

COSTS = ("tokens", "FLOPs", "seconds")
ADJUSTED = "p: the larger of maxT's and Holm's, both over these arms. Grey: the margin of {:g}."


@style.styled
def arms_forest(table: pd.DataFrame, margin: float) -> Figure:
    """Every arm's difference to the baseline, points, 95 % interval, and p adjusted over arms.

    table: as `xgrl.stats.against_baseline` makes it; an arm that could not be compared keeps its
    row, empty. margin: the equivalence margin, drawn as a grey band.
    """
    figure, ax = style.new_axes(style.WIDTH, 1.3 + 0.25 * len(table))
    style.margin_band(ax, margin)
    count = table.targets.astype(str).str.count(",")
    fewer = table.theta.notna() & (count < count.max())
    names = table.arm + fewer.map({True: "*", False: ""}) + _blocks(table)
    effects = table.theta.map(style.points) + "  p " + _adjusted(table)
    texts = effects.where(table.theta.notna(), "not comparable")
    style.interval_rows(ax, table, style.looks(table.arm).values(), names, texts)
    ax.set_xlabel(f"arm minus {table.against.dropna().iloc[0]}, points")
    note = " *: on fewer targets." if fewer.any() else ""
    means = "Mean over blocks (n), targets and languages with its 95 % interval."
    style.caption(figure, f"{means}{note} {ADJUSTED.format(margin)}")
    return figure


@style.styled
def dose_response(table: pd.DataFrame, margin: float) -> Figure:
    """Difference to the baseline, points, 95 % intervals, by lambda_max; doses equally spaced.

    table: lambda_max, and as `xgrl.stats.against_baseline` makes it; one row an arm, doses rising.
    """
    figure, ax = style.new_axes(5.2, 3.6)
    style.margin_band(ax, margin, upright=False)
    doses, drawn = sorted(table.lambda_max.unique()), style.looks(table.arm)
    x = table.lambda_max.map(doses.index) + 0.15 * table.groupby("lambda_max").cumcount()
    ax.plot(x, table.theta, color="#999999", linewidth=1, zorder=1)
    named = "\n" + table.arm + _blocks(table) + "\np " + _adjusted(table)
    labels = [f"{dose:g}" + named[table.lambda_max == dose].sum() for dose in doses]
    for at, row in zip(x, table.itertuples(), strict=True):
        shape = drawn[row.arm] | {"markersize": 7}
        style.interval(ax, at, row.theta, row.low, row.high, upright=True, **shape)
    ax.set_xticks(range(len(doses)), labels, fontsize=8)
    ax.set(xlim=(-0.5, len(doses) - 0.5), xlabel="lambda_max (not to scale) and arm")
    ax.set_ylabel(f"arm minus {table.against.dropna().iloc[0]}, points")
    style.caption(figure, f"n: blocks; 95 % intervals. {ADJUSTED.format(margin)}")
    return figure


def _adjusted(table: pd.DataFrame) -> pd.Series:
    """The larger adjusted p of each row as text."""
    return table[["p_max_t", "p_holm"]].astype(float).max(axis=1, skipna=False).map(p_format)


def _blocks(table: pd.DataFrame) -> pd.Series:
    """How many blocks stand behind each row, as text; nothing where it was not compared."""
    return table.blocks.map(" (n = {:.0f})".format).where(table.theta.notna(), "")


@style.styled
def cost(table: pd.DataFrame) -> Figure:
    """Training cost as multiples of the baseline's, with 95 % intervals over runs, a panel each.

    table: index arm, columns runs, `..._ratio` and their `..._low` and `..._high`; what was not
    recorded is left out.
    """
    size, grid = (style.WIDTH, 1.2 + 0.2 * len(table)), {"sharey": True}
    figure, axes = style.new_axes(*size, 1, len(COSTS), **grid)
    names = [f"{arm} (n = {runs:.0f})" for arm, runs in table.runs.items()]
    for ax, label in zip(axes, COSTS, strict=True):
        name = f"{label.lower()}_ratio"
        ends = {name: "theta", f"{name}_low": "low", f"{name}_high": "high"}
        rows = table[list(ends)].rename(columns=ends)
        style.interval_rows(ax, rows, style.looks(table.index).values(), names)
        ax.axvline(1, color="black", linewidth=1, zorder=0)
        ax.set_title(label + " (not recorded)" * bool(rows.theta.isna().all()))
        ax.set_xlim(0, max(1.1, ax.get_xlim()[1]))
        ax.xaxis.set_major_locator(MaxNLocator(5))
    axes[1].set_xlabel("training cost, multiple of the baseline's in the same block")
    style.caption(figure, "Mean over runs (n) and its 95 % t interval. Line: the baseline.")
    return figure
