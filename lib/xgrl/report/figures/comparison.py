"""Figures of the comparison of arms: by target, by block, by language and its distance."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures import style
from xgrl.stats import p_format

DRAWS = 1999
COLUMNS = 3
TARGET = {"color": "black", "marker": "s", "linewidth": 2.5, "markersize": 6}
MEAN = {"color": "black", "marker": "D", "markersize": 7}
DIFFERENCE = "treatment minus baseline, points"


@style.styled
def forest(rows: pd.DataFrame, arms: tuple[str, str], margin: float, blocks: int) -> Figure:
    """What English training gives, and what the treatment changes, on averages (diamonds) and on
    each target (squares): points, 95 % intervals.

    rows: as `summary.effects` makes them; without a positive control there is one panel. arms:
    baseline, treatment. blocks: behind every mean.
    """
    if rows.theta.isna().all():
        raise style.NotDrawn("nothing to draw")
    caption = f"Means over n = {blocks} blocks, zero-shot languages and targets; 95 % intervals. p"
    caption += f" of groups and of targets: Holm. Grey: margin of {margin:g}."
    names = ["theta", "low", "high", "p"]
    sides = {f"{arms[1]} minus {arms[0]}, points": rows[names]}
    if (control := rows[[f"control_{name}" for name in names]]).notna().any(axis=None):
        sides = {f"{arms[0]} minus none, points": control.set_axis(names, axis=1)} | sides
    size, grid = (3 + 2.6 * len(sides), 1.4 + 0.22 * len(rows)), {"sharey": True, "squeeze": False}
    figure, axes = style.new_axes(*size, 1, len(sides), caption=caption, **grid)
    for ax, (label, own) in zip(axes[0], sides.items(), strict=True):
        style.margin_band(ax, margin)
        own = own.assign(name=rows.part, text=style.effects(own, own.p))
        style.interval_rows(ax, own, rows.average.map({True: MEAN, False: TARGET}))
        ax.set_xlabel(label)
    return figure


@style.styled
def heatmap(per_language: pd.DataFrame, blocks: int) -> Figure:
    """Differences by language and target, colours centred on 0: points ± half the 95 % interval.

    per_language: target, language, theta, low, high; languages and targets go from the smallest
    mean difference to the largest. blocks: behind every mean.
    """
    half = (per_language.high - per_language.low) / 2
    texts = per_language.theta.map(lambda theta: style.points(theta, 1))
    table = per_language.assign(text=texts + half.map(" ±{:.1f}".format).where(half.notna(), ""))
    table = table.pivot(index="language", columns="target", values=["theta", "text"])
    values = table["theta"].astype(float)
    rows, columns = (values.mean(axis=axis).sort_values(kind="stable").index for axis in (1, 0))
    values, texts = (part.loc[rows, columns] for part in (values, table["text"]))
    limit = max(float(np.nanmax(np.abs(values.to_numpy()))), 0.1)
    size = 2.2 + 1.1 * values.shape[1], 1.5 + 0.26 * values.shape[0]
    caption = f"Means over n = {blocks} blocks ± half the 95 % interval."
    figure, ax = style.new_axes(*size, caption=caption)
    ax.set_facecolor("#EEEEEE")
    scale = {"cmap": "PuOr", "norm": TwoSlopeNorm(0, -limit, limit), "aspect": "auto"}
    image = style.heat_map(ax, values, texts.fillna(""), **scale)
    ax.set_xticks(range(values.shape[1]), values.columns, rotation=20, ha="right")
    figure.colorbar(image, label=DIFFERENCE)
    return figure


@style.styled
def paired_blocks(
    blocks: pd.DataFrame, tasks: pd.DataFrame, baseline: str, treatment: str, whole: Sequence[float]
) -> Figure:
    """The blocks that the test counts, by intermediate task: both arms joined, and differences.

    blocks: intermediate, baseline, treatment (zero-shot macro, percent), m_b (their difference).
    tasks: intermediate, theta, low, high, p_holm. whole: estimate over all tasks, low, high, p.
    """
    if len(blocks) < 2:
        raise style.NotDrawn("one block; the tables say it")
    order = blocks.groupby("intermediate").m_b.mean().sort_values().index
    size = max(style.WIDTH, 1.8 * len(order)), 3.6 + 0.25 * len(order)
    grid = {"height_ratios": (2.2, 1 + 0.25 * len(order)), "sharey": "row", "squeeze": False}
    caption = "Lines, dots: blocks (n). Diamonds: means with 95 % intervals; p of a task: Holm."
    figure, (slopes, below) = style.new_axes(*size, 2, len(order), caption=caption, **grid)
    differences, drawn = style.across(below), style.looks([baseline, treatment])
    rows = tasks.set_index("intermediate").reindex(order)[["theta", "low", "high", "p_holm"]]
    rows.loc["mean"], names = whole, []
    for y, (ax, task) in enumerate(zip(slopes, order, strict=True)):
        own = blocks[blocks.intermediate == task]
        names.append(f"{task} (n = {len(own)})")
        ax.plot([0, 1], own[["baseline", "treatment"]].to_numpy().T, color="#999999", linewidth=1)
        for x, (arm, part) in enumerate({baseline: "baseline", treatment: "treatment"}.items()):
            ax.plot([x] * len(own), own[part], **drawn[arm] | {"linestyle": "", "zorder": 3})
        ax.set(title=names[-1], xlim=(-0.3, 1.3))
        ax.set_xticks([0, 1], [baseline, treatment])
        spread = y + 0.2 * np.linspace(-1, 1, len(own)) * (len(own) > 1)
        differences.plot(own.m_b, spread, color=style.GREY, marker="o", linestyle="", alpha=0.7)
    rows = rows.assign(name=[*names, f"mean (n = {len(blocks)})"])
    rows["text"] = style.effects(rows, rows.p_holm)
    style.interval_rows(differences, rows, [MEAN] * len(rows))
    differences.axvline(0, color="black", linewidth=1)
    differences.set_xlabel(f"{treatment} minus {baseline}, points")
    slopes[0].set_ylabel("zero-shot macro, %")
    return figure


@style.styled
def typology(table: pd.DataFrame, correlations: pd.DataFrame) -> Figure:
    """Effect by language against distances from English: a straight line, and those of chance.

    table: index language; effect, low, high (points), seen and the distances. correlations: one row
    a distance: distance, languages, partial, p_holm. Grey band: 95 % of the lines when effects are
    dealt out at random.
    """
    columns = min(COLUMNS, len(correlations))
    rows = -(-len(correlations) // columns)
    size, grid = (2.4 * columns + 0.3, 2.5 * rows + 1), {"squeeze": False, "sharey": True}
    caption = "Distances from English; n languages, 95 % intervals over blocks. rho: partial; p: "
    caption += (
        "Holm over distances. Grey: 95 % of the lines of shuffled effects. Names where room is."
    )
    figure, axes = style.new_axes(*size, rows, columns, caption=caption, **grid)
    for ax, row in zip(axes.flat, correlations.itertuples(), strict=False):
        known = table.dropna(subset=[row.distance]).sort_values("effect")
        x, y = known[row.distance].to_numpy(float), known["effect"].to_numpy()
        grid = np.linspace(x.min(), x.max(), 30)
        slope = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        shuffled = np.random.default_rng(0).permuted(np.broadcast_to(y, (DRAWS, len(y))), axis=1)
        lines = y.mean() + (shuffled @ slope)[:, None] * (grid - x.mean())
        chance = np.quantile(lines, [0.025, 0.975], axis=0)
        ax.fill_between(grid, *chance, color="#DDDDDD", linewidth=0, zorder=0)
        ax.plot(grid, y.mean() + (y @ slope) * (grid - x.mean()), color="black", linewidth=1)
        ax.axhline(0, color="black", linestyle=":", linewidth=1)
        for at, own in zip(x, known.itertuples(), strict=True):
            shape = style.SEEN[str(own.seen) == "True"] | {"markersize": 4.5, "linewidth": 0.8}
            style.interval(ax, at, own.effect, own.low, own.high, upright=True, alpha=0.6, **shape)
        _labels(ax, x, y, known.index)
        title = f"rho {style.points(row.partial)}, p {p_format(row.p_holm)}, n = {row.languages}"
        ax.set(title=title, xlabel=f"{row.distance} distance")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    for ax in axes.flat[len(correlations) :]:
        ax.set_visible(False)
    figure.supylabel("effect, points", fontsize=9)
    seen, unseen = (mark | {"linestyle": ""} for mark in style.SEEN.values())
    names = {"among the discriminator's languages": seen, "not among them": unseen}
    style.legend(figure, names, min(columns, 2))
    return figure


def _labels(ax: Axes, x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    """Names right of points, a little higher or lower where one is taken, none where all are; the
    points farthest from the rest come first.
    """
    least, near, placed = 0.05 * np.ptp(ax.get_ylim()), 0.09 * np.ptp(x), []
    for k in np.argsort(-np.abs(y - np.median(y)), kind="stable"):
        taken = [height for there, height in placed if abs(there - x[k]) < near]
        tried = y[k] + least * np.array([0, 1, -1, 2, -2])
        free = [height for height in tried if all(abs(height - t) >= least for t in taken)]
        for height in free[:1]:
            placed.append((x[k], height))
            place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
            ax.annotate(names[k], placed[-1], fontsize=7, **place)
    ax.margins(x=0.12)
