"""Figures of the comparison of arms: by target, by block, by language and its distance."""

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures import style
from xgrl.stats import p_format

DRAWS = 1999
COLUMNS = 3


@style.styled
def forest(per_task: pd.DataFrame, per_language: pd.DataFrame, margin: float) -> Figure:
    """Effect on each target (squares) and each of its languages (dots), points, 95 % intervals.

    per_task: target, theta, low, high. per_language: target, language, theta, low, high. margin:
    the equivalence margin, drawn as a grey band.
    """
    rows = []
    for task in per_task.assign(name=per_task.target, whole=True).itertuples():
        own = per_language[per_language.target == task.target]
        rows += [task, *own.assign(name=own.language, whole=False).itertuples()]
    figure, ax = style.new_axes(6.5, 1.2 + 0.2 * len(rows))
    style.margin_band(ax, margin)
    target = {"color": style.VERMILION, "marker": "s", "linewidth": 2.5, "markersize": 7}
    language = {"color": style.BLUE, "marker": "o", "linewidth": 1.2, "markersize": 4}
    for y, row in enumerate(rows):
        style.interval(ax, y, row.theta, row.low, row.high, **target if row.whole else language)
    style.name_rows(ax, [str(row.name) for row in rows])
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.whole else "normal")
    ax.set_xlabel(f"treatment - baseline, points (grey: margin of {margin:g})")
    return figure


@style.styled
def heatmap(per_language: pd.DataFrame) -> Figure:
    """Differences by language and target, colours centred on 0: points ± half the 95 % interval.

    per_language: target, language, theta, low, high.
    """
    half = (per_language.high - per_language.low) / 2
    texts = per_language.theta.map("{:+.1f}".format)
    table = per_language.assign(text=texts + half.map(" ±{:.1f}".format).where(half.notna(), ""))
    table = table.pivot(index="language", columns="target", values=["theta", "text"])
    values = table["theta"].astype(float)
    texts = table["text"].where(values.notna(), "")
    limit = max(float(np.nanmax(np.abs(values.to_numpy()))), 0.1)
    figure, ax = style.new_axes(1.6 + 1.25 * values.shape[1], 1.2 + 0.34 * values.shape[0])
    ax.set_facecolor("#EEEEEE")
    image = ax.imshow(values, cmap="PuOr", norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    style.cell_texts(ax, texts, values.abs().to_numpy() > 0.65 * limit, 7.5)
    ax.set_xticks(range(values.shape[1]), values.columns, rotation=20, ha="right")
    figure.colorbar(image, label="treatment - baseline, points")
    return figure


@style.styled
def paired_blocks(
    blocks: pd.DataFrame, baseline: str, treatment: str, theta: float, ci: tuple[float, float]
) -> Figure:
    """The blocks that the test counts: both arms joined, and differences with mean and interval.

    blocks: intermediate, seed, baseline, treatment (zero-shot macro), m_b (their difference): one
    row a block, in points. theta, ci: the estimate and its 95 % interval.
    """
    figure, (slopes, differences) = style.new_axes(8, 3.4, 1, 2)
    tasks = sorted(blocks.intermediate.unique())
    for k, task in enumerate(tasks):
        own = blocks[blocks.intermediate == task]
        shape, line = style.mark(k), style.LINES[k % len(style.LINES)]
        scores = own[["baseline", "treatment"]].to_numpy().T
        slopes.plot([0, 1], scores, linestyle=line, linewidth=1, **shape)
        differences.plot(own.m_b, k + np.linspace(-0.2, 0.2, len(own)), linestyle="", **shape)
    slopes.set_xticks([0, 1], [baseline, treatment])
    slopes.set(xlim=(-0.2, 1.2), ylabel="zero-shot macro, points", title="each line one block")
    differences.axvline(0, color="black", linewidth=1)
    mean = {"linewidth": 2.5, "color": "black", "marker": "D", "markersize": 8}
    style.interval(differences, len(tasks), theta, *ci, **mean)
    differences.set_yticks(range(len(tasks) + 1), [*tasks, "mean, 95 %"])
    differences.set(ylim=(-0.6, len(tasks) + 0.6), title="block differences")
    differences.set_xlabel("difference, points")
    return figure


@style.styled
def typology(table: pd.DataFrame, correlations: pd.DataFrame, seed: int = 0) -> Figure:
    """Effect by language against distances from English: a straight line, and those of chance.

    table: index language; effect, low, high (points), seen and the distances. correlations: one row
    a distance: distance, languages, partial, p. seed: of the permutations of languages behind the
    grey band (95 % of the lines when effects are dealt out at random).
    """
    columns = min(COLUMNS, len(correlations))
    rows = -(-len(correlations) // columns)
    size, grid = (3.5 * columns + 0.3, 3.1 * rows + 0.3), {"squeeze": False, "sharey": True}
    figure, axes = style.new_axes(*size, rows, columns, **grid)
    axes = axes.ravel()
    for ax, row in zip(axes, correlations.itertuples(), strict=False):
        known = table.dropna(subset=[row.distance])
        x, y = known[row.distance].to_numpy(float), known["effect"].to_numpy()
        grid = np.linspace(x.min(), x.max(), 30)
        slope = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        shuffled = np.random.default_rng(seed).permuted(np.broadcast_to(y, (DRAWS, len(y))), axis=1)
        lines = y.mean() + (shuffled @ slope)[:, None] * (grid - x.mean())
        chance = np.quantile(lines, [0.025, 0.975], axis=0)
        ax.fill_between(grid, *chance, color="#DDDDDD", linewidth=0, zorder=0)
        ax.plot(grid, y.mean() + (y @ slope) * (grid - x.mean()), color="black", linewidth=1)
        ax.axhline(0, color="black", linestyle=":", linewidth=1)
        for at, (language, own) in zip(x, known.iterrows(), strict=True):
            shape = style.SEEN[str(own.seen) == "True"] | {"markersize": 4.5, "linewidth": 0.8}
            style.interval(ax, at, own.effect, own.low, own.high, upright=True, alpha=0.6, **shape)
            place = {"xytext": (4, 3), "textcoords": "offset points"}
            ax.annotate(language, (at, own.effect), fontsize=7, **place)
        ax.set_title(f"partial rho {row.partial:+.2f}, p {p_format(row.p)}", fontsize=9)
        ax.set_xlabel(f"{row.distance} distance from English")
        ax.xaxis.set_major_locator(MaxNLocator(5))
    for ax in axes[len(correlations) :]:
        ax.set_visible(False)
    for ax in axes[::columns]:
        ax.set_ylabel("effect, points")
    names = ("among the discriminator's languages", "not among them")
    marks = [mark | {"linestyle": ""} for mark in style.SEEN.values()]
    style.legend(figure, dict(zip(names, marks, strict=True)), min(columns, 2))
    return figure
