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
PANELS = {  # caption; title: value, low, high, control task
    "probes": ("Held-out sentences, exact 95 % intervals. Dots: chance. Thin: control task.", {
        "linear probe": "accuracy low high control",
        "retrained discriminator": "mlp_accuracy mlp_low mlp_high mlp_control",
    }),
    "shape": ("Length: of a feature vector. 95 % intervals: grouped jackknife over sentences.", {
        "effective rank": "rank rank_low rank_high", "length": "norm norm_low norm_high",
        "CKA with public": "cka cka_low cka_high",
    }),
}  # fmt: skip
WIDE = {"loc": "outside upper center", "ncols": 11, "columnspacing": 0.8, "handletextpad": 0}
PAIRS = (("cosine", "translations", "-"), ("random", "random pairs", ":"))


@style.styled
def probe_layers(layers: pd.DataFrame) -> Figure:
    """By layer and arm: a fresh linear probe against chance, similarity to the public encoder.

    layers: intermediate, arm, seed, layer, accuracy, low, high, chance (percent), cka (0 to 1).
    Several seeds: mean and t interval over seeds; one seed: the probe's exact interval.
    """
    tasks = [task for task in sorted(layers.intermediate.unique()) if task != "none"] or ["none"]
    size, grid = (max(style.WIDTH, 2.4 * len(tasks)), 5.2), (2, len(tasks))
    caption = "Means over seeds (n), 95 % t intervals, of one seed the probe's. Dots: chance."
    shared = {"squeeze": False, "sharex": True, "sharey": "row", "caption": caption}
    figure, axes = style.new_axes(*size, *grid, **shared)
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
        moved.set(ylim=(0, 1.03), **_layers(layers))
    axes[0, 0].set_ylabel("language probe accuracy, %")
    axes[1, 0].set_ylabel("CKA with the public encoder")
    style.arm_legend(figure, layers)
    return figure


@style.styled
def language_map(
    maps: pd.DataFrame, by: str = "arm", axes: str = "component {} of the public encoder"
) -> Figure:
    """Sentences on one plane and one scale, marks by language, one panel a value of `by`.

    maps: x, y and share (percent of the variance that the plane holds) as
    `xgrl.evaluation.probing.geometry.project` makes them, language and the column `by`. axes: what
    x and y are called. Raises NotDrawn where there is no share: such maps have planes of their own.
    """
    if "share" not in maps or maps.share.isna().all():
        raise style.NotDrawn("maps without a common plane; run 04 again")
    panels, languages = list(dict.fromkeys(maps[by])), sorted(maps.language.unique())
    panels = list(style.looks(panels)) if by == "arm" else panels
    caption = "One plane, one scale; each panel is centred on its mean. %: its variance that the"
    caption += f" plane holds. n = {len(maps) // len(panels)} sentences a panel."
    size, grid = (max(style.WIDTH, 2.2 * len(panels) + 0.7), 3.4), {"sharex": True, "sharey": True}
    figure, plots = style.new_axes(*size, 1, len(panels), caption=caption, squeeze=False, **grid)
    for ax, panel in zip(plots[0], panels, strict=True):
        here = maps[maps[by] == panel]
        _by_language(ax, here, languages)
        held = f"{here.share.iloc[0]:.0f} %".replace("nan %", "collapsed")
        ax.set(title=f"{panel} ({held})", aspect="equal")
    plots[0, (len(panels) - 1) // 2].set_xlabel(axes.format(1))
    plots[0, 0].set_ylabel(axes.format(2))
    entries = plots[0, 0].get_legend_handles_labels()
    place = {"loc": "outside right center"} if len(languages) < 13 else WIDE
    figure.legend(*entries, markerscale=1.6, **place)
    return figure


@style.styled
def stages(layers: pd.DataFrame, kind: str) -> Figure:
    """One checkpoint by layer and stage: kind "probes", what they read, or "shape", of the space.

    layers: layers.csv of one checkpoint (`xgrl.evaluation.probing.layers`): stage, layer and the
    columns in `PANELS`; of probes, percent, also chance and the control task.
    """
    caption, panels = PANELS[kind]
    size, shared = (style.WIDTH, 3.5), {"caption": caption, "sharey": kind == "probes"}
    figure, axes = style.new_axes(*size, 1, len(panels), **shared)
    for ax, (title, columns) in zip(axes, panels.items(), strict=True):
        for stage, x, own in _staged(layers):
            value, low, high, *control = (own[name] for name in columns.split())
            ax.errorbar(x, value, (value - low, high - value), **STAGES[stage], elinewidth=1.2)
            for line in control:
                ax.plot(x, line, color=STAGES[stage]["color"], linewidth=0.8, alpha=0.7)
        ax.set(title=title, ylim=(min(0, ax.get_ylim()[0]), 1.03 * ax.get_ylim()[1]))
        ax.set(**_layers(layers))
        if kind == "probes":
            ax.axhline(layers.chance.mean(), color="black", linestyle=":")
            ax.set(ylim=(0, 102), ylabel="language read, %" * (ax is axes[0]))
    style.legend(figure, {stage: STAGES[stage] for stage in dict.fromkeys(layers.stage)})
    return figure


@style.styled
def translation_layers(parallel: pd.DataFrame) -> Figure:
    """By layer and stage: cosine of translation and of random pairs, languages seen and unseen.

    parallel: the table of parallel.csv of one checkpoint: stage, layer, language, cosine, random,
    seen. Drawn: means over languages with t intervals over languages.
    """
    stages, grid = list(dict.fromkeys(parallel.stage)), {"squeeze": False, "sharey": True}
    caption = "Means over languages, bands: 95 % t intervals, none for one language."
    size = max(6, 2.4 * len(stages)), 3.9
    figure, axes = style.new_axes(*size, 1, len(stages), caption=caption, **grid)
    for ax, stage in zip(axes[0], stages, strict=True):
        for seen, shape in style.SEEN.items():
            own = parallel[(parallel.stage == stage) & (parallel.seen == seen)]
            count = own.language.nunique()
            known = f"{count} {'seen' if seen else 'unseen'} language{'s' * (count != 1)}"
            for value, name, line in PAIRS if count else ():
                table = own.pivot(index="layer", columns="language", values=value)
                drawn = shape | {"linestyle": line, "label": f"{name}, {known}"}
                style.band(ax, table.index, table.to_numpy(float), **drawn)
        ax.set(title=stage, **_layers(parallel))
    figure.axes[0].set_ylabel("mean cosine with English")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@style.styled
def translation_languages(parallel: pd.DataFrame) -> Figure:
    """Last layer by language and stage: how much nearer translations are; seen ones above.

    parallel: stage, layer, language, gap, gap_low, gap_high (intervals over sentences), seen.
    """
    last = parallel[parallel.layer == parallel.layer.max()]
    known = last.groupby("language").seen.first().sort_values(ascending=False, kind="stable")
    caption = "95 % intervals over sentences. Seen: by the discriminators."
    figure, ax = style.new_axes(6.2, 0.32 * len(known) + 1.6, caption=caption)
    rows = known.map({True: "seen", False: "unseen"}).rename("text").rename_axis("name")
    style.interval_rows(ax, rows.reset_index(), ())
    for stage, y, own in _staged(last.assign(layer=last.language.map(known.index.get_loc))):
        for row in zip(y, own.gap, own.gap_low, own.gap_high, strict=True):
            style.interval(ax, *row, **STAGES[stage])
    ax.set_xlabel("cosine of translations minus that of random pairs, last layer")
    ax.set_xlim(left=min(0, ax.get_xlim()[0]))
    style.legend(figure, {stage: STAGES[stage] for stage in dict.fromkeys(last.stage)})
    return figure


@style.styled
def language_distances(distances: Mapping[str, pd.DataFrame]) -> Figure:
    """Distances between the languages' mean vectors, one heat map a stage, all on one scale from 0.

    distances: by stage, the (L, L) table of `probing.geometry.mean_geometry`; one of NaN is blank.
    """
    count = len(next(iter(distances.values())))
    top = np.nanmax([0, *(table.max(axis=None) for table in distances.values())]) or 1
    size = (0.36 * count + 0.9) * len(distances) + 0.9, max(0.36 * count, 1.8) + 0.9
    figure, axes = style.new_axes(*size, 1, len(distances), squeeze=False)
    for ax, (stage, table) in zip(axes[0], distances.items(), strict=True):
        values = table.to_numpy(dtype=float)
        left_out = np.eye(count, dtype=bool) | np.isnan(values)
        texts = table.map("{:.1f}".format).mask(left_out, "")
        image = style.heat_map(ax, table.astype(float), texts, cmap="cividis", vmin=0, vmax=top)
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
    dashed = {"color": "black", "linestyle": "--"}
    for row, training in zip(axes, trainings, strict=True):
        own = points[points.training == training]
        scale = 1.3 * (np.hypot(own.dx, own.dy).max() or 1.0) / high
        edges = boundaries[boundaries.training == training].itertuples()
        for ax, edge in zip(row, edges, strict=True):
            now = own[own.step == edge.step]
            _by_language(ax, now, languages)
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


def _layers(table: pd.DataFrame) -> dict:
    return {"xlabel": "layer (0: embeddings)", "xticks": sorted(table.layer.unique())[::2]}


def _by_language(ax: Axes, points: pd.DataFrame, languages: list[str]) -> None:
    for k, language in enumerate(languages):
        x, y = points.loc[points.language == language, ["x", "y"]].to_numpy().T
        ax.scatter(x, y, s=14, linewidths=0, alpha=0.7, label=language, **style.mark(k))


def _staged(table: pd.DataFrame) -> list[tuple[str, pd.Series, pd.DataFrame]]:
    """Name, layers and rows of each stage, shifted so that marks stand side by side."""
    groups = list(table.groupby("stage", sort=False))
    tables = [own.sort_values("layer") for _, own in groups]
    shifts = 0.2 * (np.arange(len(groups)) - (len(groups) - 1) / 2)
    shifted = zip(tables, shifts, strict=True)
    return [(own.stage.iloc[0], own.layer + by, own) for own, by in shifted]
