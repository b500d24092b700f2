"""Figures of the representation: probes, shape, translations, language means, maps, a toy."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xgrl.report.figures import style

STAGES = {  # stage of an encoder; the public one looks as arm none does
    "public": {"color": style.GREY, "marker": "D", "linestyle": ":"},
    "intermediate": {"color": style.BROWN, "marker": "s", "linestyle": "--"},
    "fine-tuned": {"color": style.TEAL, "marker": "o", "linestyle": "-"},
}
PAIRS = (("cosine", "translations", "-"), ("random", "random pairs", ":"))
POINTS = {"s": 14, "linewidths": 0}


@style.styled
def probe_layers(layers: pd.DataFrame) -> Figure:
    """By layer and arm: a fresh linear probe against chance, similarity to the public encoder.

    layers: intermediate, arm, seed, layer, accuracy, low, high, chance (percent), cka (0 to 1).
    Several seeds: mean and t interval over seeds; one seed: the probe's exact interval.
    """
    tasks = [task for task in sorted(layers.intermediate.unique()) if task != "none"] or ["none"]
    size, grid = (max(style.WIDTH, 2.4 * len(tasks)), 5.2), (2, len(tasks))
    figure, axes = style.new_axes(*size, *grid, squeeze=False, sharex=True, sharey="row")
    drawn = style.looks(layers.arm)
    for (probe, moved), task in zip(axes.T, tasks, strict=True):
        for k, (arm, shape) in enumerate(drawn.items()):
            own = layers[layers.intermediate.isin([task, "none"]) & (layers.arm == arm)]
            beside = 0.5 * (k + 0.5) / len(drawn) - 0.25  # so that equal arms are seen
            for ax, value in ((probe, "accuracy"), (moved, "cka")):
                table = own.pivot(index="layer", columns=["intermediate", "seed"], values=value)
                style.band(ax, table.index + beside, table.to_numpy(dtype=float), **shape)
            if own.seed.nunique() == 1:
                layer, *ends = own.sort_values("layer")[["layer", "low", "high"]].to_numpy().T
                kind = {"color": shape["color"], "alpha": 0.15, "linewidth": 0}
                probe.fill_between(layer + beside, *ends, **kind)
        probe.axhline(layers.chance.mean(), color="black", linestyle=":")
        probe.set(title=task, ylim=(0, 102))
        moved.set(ylim=(0, 1.03))
        style.layer_axis(moved)
    axes[0, 0].set_ylabel("language probe accuracy, %")
    axes[1, 0].set_ylabel("CKA with the public encoder")
    style.arm_legend(figure, layers)
    bands = "Mean over seeds (n) and its 95 % t interval; of one seed the probe's exact interval."
    style.caption(figure, f"{bands} Dots: chance. Arms side by side.")
    return figure


@style.styled
def language_map(maps: pd.DataFrame, by: str = "arm") -> Figure:
    """Sentences on one plane and one scale, marks by language, one panel a value of `by`.

    maps: x, y and share (percent of the variance that the plane holds) as
    `xgrl.evaluation.probing.geometry.project` makes them, language and the column `by`. Raises
    NotDrawn where there is no share: such maps have each a plane of its own.
    """
    if "share" not in maps or maps.share.isna().any():
        raise style.NotDrawn("maps without a common plane; run 04 again")
    names, languages = list(dict.fromkeys(maps[by])), sorted(maps.language.unique())
    panels = names if by != "arm" else list(style.looks(names))
    size = max(style.WIDTH, 2.2 * len(panels) + 0.7), 3.6
    grid = {"squeeze": False, "sharex": True, "sharey": True}
    figure, axes = style.new_axes(*size, 1, len(panels), **grid)
    for ax, panel in zip(axes[0], panels, strict=True):
        here = maps[maps[by] == panel]
        for k, language in enumerate(languages):
            own = here[here.language == language]
            ax.scatter(own.x, own.y, alpha=0.75, label=language, **POINTS, **style.mark(k))
        ax.set(title=f"{panel} ({here.share.iloc[0]:.0f} %)", aspect="equal")
        ax.set_xlabel("public component 1")
    axes[0, 0].set_ylabel("public component 2")
    entries = axes[0, 0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside right center", markerscale=1.6)
    what = "The plane of the public encoder's first two principal components, one scale; each panel"
    how = "centred on its own mean. In brackets: how much of its variance the plane holds."
    style.caption(figure, f"{what} {how} n = {len(here)} sentences a panel.")
    return figure


@style.styled
def probe_stages(layers: pd.DataFrame) -> Figure:
    """One checkpoint by layer and stage: what linear and retrained probes read, chance, control.

    layers: layers.csv of one checkpoint (`xgrl.evaluation.probing.layers`): stage, layer, chance,
    accuracy, low, high, control and the same for "mlp_"; percent, exact intervals.
    """
    figure, axes = style.new_axes(style.WIDTH, 3.6, 1, 2, sharey=True)
    panels = {"": "linear probe", "mlp_": "one hidden layer"}
    for ax, (prefix, title) in zip(axes, panels.items(), strict=True):
        names = [prefix + name for name in ("accuracy", "low", "high")]
        for stage, x, own in _staged(layers):
            _intervals(ax, x, own, names, STAGES[stage])
            thin = {"color": STAGES[stage]["color"], "linewidth": 0.8, "alpha": 0.7}
            ax.plot(x, own[f"{prefix}control"], **thin)
        ax.axhline(layers.chance.mean(), color="black", linestyle=":")
        ax.set(title=title, ylim=(0, 102))
        style.layer_axis(ax)
    axes[0].set_ylabel("language read on held-out sentences, %")
    _stage_legend(figure, layers, "Exact 95 % intervals. Dots: chance; thin lines: control task.")
    return figure


@style.styled
def shape_stages(layers: pd.DataFrame) -> Figure:
    """One checkpoint by layer and stage: effective rank, length of features, CKA with the first.

    layers: stage, layer and rank, norm, cka with their "_low" and "_high" (jackknife intervals).
    """
    figure, axes = style.new_axes(style.WIDTH, 3.2, 1, 3)
    titles = {"rank": "effective rank", "norm": "length of a feature"}
    titles["cka"] = "CKA with public"
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for stage, x, own in _staged(layers):
            _intervals(ax, x, own, [name, f"{name}_low", f"{name}_high"], STAGES[stage])
        ax.set(title=title)
        ax.set_ylim(min(0, ax.get_ylim()[0]), 1.03 * ax.get_ylim()[1])
        style.layer_axis(ax)
    _stage_legend(figure, layers, "95 % intervals: grouped jackknife over sentences.")
    return figure


@style.styled
def translation_layers(parallel: pd.DataFrame) -> Figure:
    """By layer and stage: cosine of translation and of random pairs, languages seen and unseen.

    parallel: the table of parallel.csv of one checkpoint: stage, layer, language, cosine, random,
    seen. Drawn: means over languages with t intervals over languages.
    """
    stages = list(dict.fromkeys(parallel.stage))
    size, grid = (max(5, 2.4 * len(stages)), 3.9), {"squeeze": False, "sharey": True}
    figure, axes = style.new_axes(*size, 1, len(stages), **grid)
    for ax, stage in zip(axes[0], stages, strict=True):
        for seen, shape in style.SEEN.items():
            own = parallel[(parallel.stage == stage) & (parallel.seen == seen)]
            count = own.language.nunique()
            known = f"{count} {'seen' if seen else 'unseen'} language{'s' * (count != 1)}"
            for value, name, line in PAIRS if count else ():
                table = own.pivot(index="layer", columns="language", values=value)
                drawn = shape | {"linestyle": line, "label": f"{name}, {known}"}
                style.band(ax, table.index, table.to_numpy(float), **drawn)
        ax.set(title=stage)
        style.layer_axis(ax)
    figure.axes[0].set_ylabel("mean cosine with English")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    style.caption(figure, "Mean over languages, band: its 95 % t interval, none for one language.")
    return figure


@style.styled
def translation_languages(parallel: pd.DataFrame) -> Figure:
    """Last layer by language and stage: how much nearer translations are; seen ones above.

    parallel: stage, layer, language, gap, gap_low, gap_high (intervals over sentences), seen.
    """
    last = parallel[parallel.layer == parallel.layer.max()]
    known = last.groupby("language").seen.first().sort_values(ascending=False, kind="stable")
    languages = list(known.index)
    figure, ax = style.new_axes(6.2, 0.36 * len(languages) + 1.5)
    for stage, y, own in _staged(last.assign(layer=last.language.map(languages.index))):
        for at, row in zip(y, own.itertuples(), strict=True):
            style.interval(ax, at, row.gap, row.gap_low, row.gap_high, **STAGES[stage])
    border = int(known.sum()) - 0.5
    if known.any() and not known.all():
        ax.axhline(border, color="black", linewidth=0.8)
    corner = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "top", "style": "italic"}
    if known.any():
        ax.text(1.0, -0.45, "seen by the discriminators", **corner)
    if not known.all():
        ax.text(1.0, border + 0.05, "unseen", **corner)
    ax.set_yticks(range(len(languages)), languages)
    ax.set_ylim(len(languages) - 0.4, -0.6)
    ax.set_xlabel("cosine of translations minus that of random pairs, last layer")
    ax.set_xlim(left=min(0, ax.get_xlim()[0]))
    _stage_legend(figure, last, "95 % intervals over sentences.")
    return figure


@style.styled
def language_distances(distances: Mapping[str, pd.DataFrame]) -> Figure:
    """Distances between the languages' mean vectors, one heat map a stage, all on one scale from 0.

    distances: by stage, an (L, L) table of `xgrl.evaluation.probing.geometry.mean_geometry`; one of
    NaN is left blank.
    """
    count = len(next(iter(distances.values())))
    top = np.nanmax([0, *(table.max(axis=None) for table in distances.values())]) or 1
    size = (0.36 * count + 0.9) * len(distances) + 0.9, max(0.36 * count, 1.8) + 0.9
    figure, axes = style.new_axes(*size, 1, len(distances), squeeze=False)
    for ax, (stage, table) in zip(axes[0], distances.items(), strict=True):
        values = table.to_numpy(dtype=float)
        image = ax.imshow(values, cmap="cividis", vmin=0, vmax=top)
        left_out = np.eye(count, dtype=bool) | np.isnan(values)
        texts = table.map("{:.1f}".format).mask(left_out, "")
        style.cell_texts(ax, texts, values < 0.6 * top, 7)
        ax.set_title(f"{stage}:\nnot estimable" if left_out.all() else stage)
    figure.colorbar(image, ax=axes, label="distance / spread in a language")
    return figure


@style.styled
def reversal_steps(points: pd.DataFrame, boundaries: pd.DataFrame) -> Figure:
    """A toy training: features, decision line, and where the reversed gradient pushes.

    points: training, step, x, y (features), language, dx, dy (minus the gradient that comes back
    through the reversal, the direction in which a step of descent moves the feature; every fifth
    one is drawn, the longest of a training alike). boundaries: training, step, a, b, c (the
    discriminator is undecided where a x + b y + c = 0), accuracy (percent).
    """
    trainings, languages = list(dict.fromkeys(points.training)), sorted(points.language.unique())
    columns = points.groupby("training").step.nunique().max()
    size, grid = (2.5 * columns + 0.4, 2.6 * len(trainings) + 0.5), (len(trainings), columns)
    figure, axes = style.new_axes(*size, *grid, squeeze=False, sharex=True, sharey=True)
    wide, high = (1.15 * points[axis].abs().max() for axis in ("x", "y"))
    looks = zip(languages, style.COLOURS[::4], style.MARKERS, strict=False)
    looks = {language: {"color": colour, "marker": mark} for language, colour, mark in looks}
    dashed = {"color": "black", "linestyle": "--"}
    for row, training in zip(axes, trainings, strict=True):
        own = points[points.training == training]
        scale = 1.3 * (np.hypot(own.dx, own.dy).max() or 1.0) / high
        edges = boundaries[boundaries.training == training].itertuples()
        for ax, edge in zip(row, edges, strict=True):
            now = own[own.step == edge.step]
            for language, shape in looks.items():
                features = now[now.language == language]
                ax.scatter(features.x, features.y, alpha=0.6, label=language, **POINTS, **shape)
            few = now.iloc[::5]
            arrows = {"angles": "xy", "scale_units": "xy", "scale": scale, "width": 0.007}
            ax.quiver(few.x, few.y, few.dx, few.dy, color="black", zorder=3, **arrows)
            foot = -edge.c * np.array([edge.a, edge.b]) / (edge.a**2 + edge.b**2)
            along = np.array([-edge.b, edge.a]) / np.hypot(edge.a, edge.b) * 4 * wide
            ax.plot(*np.stack([foot - along, foot + along], axis=1), linewidth=1.2, **dashed)
            ax.set(xlim=(-wide, wide), ylim=(-1.3 * high, 1.3 * high), xticks=[], yticks=[])
            ax.set_title(f"step {edge.step}: reads {edge.accuracy:.0f} %", fontsize=9)
        row[0].set_ylabel(training)
    handles = [*axes[0, 0].get_legend_handles_labels()[0], Line2D([], [], **dashed)]
    names = (*languages, "discriminator's line")
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


def _staged(table: pd.DataFrame) -> list[tuple[str, pd.Series, pd.DataFrame]]:
    """Name, layers and rows of each stage, shifted so that marks stand side by side."""
    stages = list(dict.fromkeys(table.stage))
    shifts = 0.2 * (np.arange(len(stages)) - (len(stages) - 1) / 2)
    tables = [table[table.stage == stage].sort_values("layer") for stage in stages]
    shifted = [own.layer + shift for own, shift in zip(tables, shifts, strict=True)]
    return list(zip(stages, shifted, tables, strict=True))


def _intervals(ax: Axes, x: pd.Series, table: pd.DataFrame, names: list[str], shape: dict) -> None:
    """A line with marks and vertical intervals: columns value, low and high of a table."""
    value, low, high = (table[name] for name in names)
    ax.errorbar(x, value, yerr=(value - low, high - value), **shape, elinewidth=1.2)


def _stage_legend(figure: Figure, table: pd.DataFrame, caption: str) -> None:
    style.legend(figure, {stage: STAGES[stage] for stage in dict.fromkeys(table.stage)})
    style.caption(figure, caption)
