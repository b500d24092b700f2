"""Figures of all arms: differences to the baseline, the dose of the adversary, costs."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures import style
from xgrl.stats import p_format

COSTS = {"tokens": "o", "FLOPs": "s", "seconds": "^"}


@style.styled
def arms_forest(table: pd.DataFrame, margin: float) -> Figure:
    """Every arm's difference to the baseline, points, 95 % interval, and p adjusted over arms, or
    where no p is adjusted (too few blocks) its own.

    table: as `xgrl.stats.against_baseline` makes it; an arm that could not be compared keeps its
    row, empty. margin: the equivalence margin, drawn as a grey band.
    """
    figure, ax = style.new_axes(7.2, 1.2 + 0.32 * len(table))
    style.margin_band(ax, margin)
    count = table.targets.astype(str).str.count(",")
    names = table.arm.where(count == count.max(), table.arm + "*")
    adjusted = table.p_max_t.notna().any()
    for y, row in enumerate(table.itertuples()):
        shape = style.look(row.arm) | {"markersize": 7}
        style.interval(ax, y, row.theta, row.low, row.high, **shape)
        effect = f"{row.theta:+.2f}  p {p_format(row.p_max_t if adjusted else row.p)}"
        style.beside(ax, y, effect if np.isfinite(row.theta) else "not comparable")
    style.name_rows(ax, names)
    note = " (*: on the targets it has)" if (count < count.max()).any() else ""
    against = f"arm - {table.against.iloc[0]}, points{note}"
    kind = "by maxT" if adjusted else "of each arm alone: fewer than 10 blocks, a description"
    ax.set_xlabel(f"{against}; grey: margin of {margin:g}; p {kind}")
    return figure


@style.styled
def dose_response(table: pd.DataFrame, margin: float) -> Figure:
    """Difference to the baseline, points, 95 % intervals, by lambda_max; doses equally spaced.

    table: lambda_max, arm, theta, low, high; one row an arm, doses rising.
    """
    figure, ax = style.new_axes(5.2, 3.4)
    style.margin_band(ax, margin, upright=False)
    doses = sorted(table.lambda_max.unique())
    x = table.lambda_max.map(doses.index) + 0.15 * table.groupby("lambda_max").cumcount()
    ax.plot(x, table.theta, color="#999999", linewidth=1, zorder=1)
    for at, row in zip(x, table.itertuples(), strict=True):
        shape = style.look(row.arm) | {"markersize": 7}
        style.interval(ax, at, row.theta, row.low, row.high, upright=True, **shape)
    labels = [f"{dose:g}\n" + "\n".join(table.arm[table.lambda_max == dose]) for dose in doses]
    ax.set_xticks(range(len(doses)), labels)
    ax.set(xlim=(-0.5, len(doses) - 0.5), xlabel="lambda_max (not to scale) and arm")
    ax.set_ylabel(f"arm - {table.against.iloc[0]}, points (grey: margin)")
    return figure


@style.styled
def cost(table: pd.DataFrame) -> Figure:
    """Training cost as multiples of the baseline's, with 95 % intervals over runs.

    table: index arm, columns `..._ratio` and their `..._low` and `..._high`; what was not recorded
    is left out.
    """
    figure, ax = style.new_axes(6.4, 1.3 + 0.34 * len(table))
    ax.axvline(1, color="black", linewidth=1)
    looks = {}
    for k, (label, marker) in enumerate(COSTS.items()):
        name = f"{label.lower()}_ratio"
        mark = {"marker": marker, "linestyle": ""}
        for y, values in enumerate(table[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)):
            mark["color"] = style.look(table.index[y])["color"]
            style.interval(ax, y + (k - 1) * 0.22, *values, linewidth=1.5, **mark)
        unknown = " (not recorded)" if table[name].isna().all() else ""
        looks[label + unknown] = mark | {"color": "#444444"}
    style.name_rows(ax, table.index)
    ax.set(xlim=(0, None), xlabel="training cost, multiple of the baseline's in the same block")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    style.legend(figure, looks)
    return figure
