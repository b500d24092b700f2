"""Figures of the representation: probes and shape by layer, translations, language means, maps, and
a toy of the reversal.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xgrl.report.figures.style import (
    COLOURS,
    MARKERS,
    arm_legend,
    band,
    look,
    new_figure,
    styled,
    t_interval,
)

STAGES = {  # stage of an encoder: colour, marker, line
    "public": ("#777777", "D", ":"),
    "intermediate": ("#D55E00", "s", "--"),
    "fine-tuned": ("#0072B2", "o", "-"),
}


@styled
def probe_layers(layers: pd.DataFrame) -> Figure:
    """By layer and arm: accuracy of a fresh linear language probe against chance, and similarity to
    the public encoder.

    Args:
        layers: intermediate, arm, seed, layer, accuracy, low, high, chance (percent), cka (0 to 1).
            Several seeds: mean and t interval over seeds; one seed: the probe's exact interval.
    """
    own = [task for task in sorted(layers.intermediate.unique()) if task != "none"] or ["none"]
    figure = new_figure(4.2 * len(own) + 0.6, 5.6)
    axes = figure.subplots(2, len(own), squeeze=False, sharex=True, sharey="row")
    for (probe, moved), task in zip(axes.T, own, strict=True):
        for arm, part in layers[layers.intermediate.isin([task, "none"])].groupby("arm"):
            for ax, value in ((probe, "accuracy"), (moved, "cka")):
                table = part.pivot(index="layer", columns=["intermediate", "seed"], values=value)
                band(ax, table.index, table.to_numpy(dtype=float), arm, marked=True)
            if part.seed.nunique() == 1:
                part = part.sort_values("layer")
                probe.fill_between(
                    part.layer,
                    part.low,
                    part.high,
                    color=look(arm)["color"],
                    alpha=0.15,
                    linewidth=0,
                )
        probe.axhline(layers.chance.mean(), color="black", linestyle=":")
        probe.set(title=task, ylim=(0, 102))
        moved.set(xlabel="layer (0: embeddings)", ylim=(0, 1.03))
        moved.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("language probe accuracy, %\n(dots: chance)")
    axes[1, 0].set_ylabel("CKA with the public encoder")
    arm_legend(figure, layers.arm)
    return figure


@styled
def language_map(maps: pd.DataFrame, by: str = "arm") -> Figure:
    """Sentences on the first two principal components, colour and marker by language, one panel a
    value of `by`.

    Args:
        maps: x, y, language and the column `by`.
    """
    panels, languages = list(dict.fromkeys(maps[by])), sorted(maps.language.unique())
    figure = new_figure(3.4 * len(panels) + 0.8, 3.4)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for k, language in enumerate(languages):
            part = maps[(maps[by] == panel) & (maps.language == language)]
            marker, colour = MARKERS[k % len(MARKERS)], COLOURS[k % len(COLOURS)]
            ax.scatter(
                part.x,
                part.y,
                s=14,
                marker=marker,
                color=colour,
                alpha=0.75,
                linewidths=0,
                label=language,
            )
        ax.set(title=str(panel), xticks=[], yticks=[])
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside right center", markerscale=1.6
    )
    return figure


@styled
def probe_stages(layers: pd.DataFrame) -> Figure:
    """One checkpoint by layer and stage: what a linear probe and a retrained discriminator read,
    against chance and control.

    Args:
        layers: the table of layers.csv of one checkpoint (`xgrl.evaluation.probing.layers`): stage, layer, chance,
            accuracy, low, high, control and the same for "mlp_"; percent, exact intervals.
    """
    figure = new_figure(8.6, 3.6)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, prefix, title in zip(
        axes,
        ("", "mlp_"),
        ("linear probe", "one hidden layer (retrained discriminator)"),
        strict=True,
    ):
        for stage, x, part in _staged(layers):
            _intervals(
                ax,
                x,
                part,
                *(f"{prefix}{name}" for name in ("accuracy", "low", "high")),
                _stage_look(stage),
            )
            ax.plot(
                x,
                part[f"{prefix}control"],
                color=_stage_look(stage)["color"],
                linewidth=0.8,
                alpha=0.7,
            )
        ax.axhline(layers.chance.mean(), color="black", linestyle=":")
        ax.set(title=title, xlabel="layer (0: embeddings)", ylim=(0, 102))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("language read on held-out sentences, %\n(dots: chance; thin: control task)")
    _stage_legend(figure, layers.stage)
    return figure


@styled
def shape_stages(layers: pd.DataFrame) -> Figure:
    """One checkpoint by layer and stage: effective rank, length of the features, similarity to the
    first stage.

    Args:
        layers: stage, layer and rank, norm, cka with their "_low" and "_high" (jackknife
            intervals).
    """
    figure = new_figure(10.2, 3.2)
    titles = {
        "rank": "effective rank",
        "norm": "length of a feature vector",
        "cka": "CKA with the public encoder",
    }
    for ax, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for stage, x, part in _staged(layers):
            _intervals(ax, x, part, name, f"{name}_low", f"{name}_high", _stage_look(stage))
        ax.set(title=title, xlabel="layer (0: embeddings)")
        ax.set_ylim(min(0, ax.get_ylim()[0]), 1.03 * ax.get_ylim()[1])
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _stage_legend(figure, layers.stage)
    return figure


@styled
def translation_layers(parallel: pd.DataFrame) -> Figure:
    """By layer, one panel a stage: mean cosine of translation pairs and of random pairs, languages
    seen and unseen apart.

    Args:
        parallel: the table of parallel.csv of one checkpoint: stage, layer, language, cosine,
            random, seen. Drawn: means over languages with t intervals over languages.
    """
    stages = list(dict.fromkeys(parallel.stage))
    figure = new_figure(3.3 * len(stages) + 2.2, 3.6)
    for ax, stage in zip(
        figure.subplots(1, len(stages), sharey=True, squeeze=False)[0], stages, strict=True
    ):
        for seen, colour, marker, fill in (
            (True, "#0072B2", "o", "full"),
            (False, "#D55E00", "s", "none"),
        ):
            part = parallel[(parallel.stage == stage) & (parallel.seen == seen)]
            if part.empty:
                continue
            count = part.language.nunique()
            known = f"{count} {'seen' if seen else 'unseen'} language{'s' * (count != 1)}"
            for value, line in (("cosine", "-"), ("random", ":")):
                table = part.pivot(index="layer", columns="language", values=value)
                mean, low, high = t_interval(table.to_numpy(dtype=float))
                name = f"{'translations' if value == 'cosine' else 'random pairs'}, {known}"
                shape = {
                    "color": colour,
                    "marker": marker,
                    "fillstyle": fill,
                    "linestyle": line,
                    "label": name,
                }
                ax.plot(table.index, mean, **shape)
                ax.fill_between(table.index, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.set(title=stage, xlabel="layer (0: embeddings)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].set_ylabel("mean cosine with English")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def translation_languages(parallel: pd.DataFrame) -> Figure:
    """Last layer by language and stage: how much nearer translations are than random pairs; seen
    languages above unseen ones.

    Args:
        parallel: stage, layer, language, gap, gap_low, gap_high (intervals over sentences), seen.
    """
    last = parallel[parallel.layer == parallel.layer.max()]
    languages = list(
        dict.fromkeys(last.sort_values(["seen", "language"], ascending=[False, True]).language)
    )
    known = last.groupby("language").seen.first()
    figure = new_figure(6.2, 0.36 * len(languages) + 1.5)
    ax = figure.subplots()
    for stage, x, part in _staged(last.assign(layer=last.language.map(languages.index))):
        error = (part.gap - part.gap_low, part.gap_high - part.gap)
        ax.errorbar(
            part.gap, x, xerr=error, **_stage_look(stage) | {"linestyle": "", "elinewidth": 1.2}
        )
    border = int(known.sum()) - 0.5
    if -0.5 < border < len(languages) - 0.5:
        ax.axhline(border, color="black", linewidth=0.8)
    for at, text, there in (
        (-0.45, "seen by the discriminators", known.any()),
        (border + 0.05, "unseen", not known.all()),
    ):
        if there:
            ax.text(
                1.0,
                at,
                text,
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="top",
                style="italic",
            )
    ax.set_yticks(range(len(languages)), languages)
    ax.set(
        ylim=(len(languages) - 0.5, -0.55),
        xlabel="cosine of translations minus that of random pairs, last layer",
    )
    ax.set_xlim(left=min(0, ax.get_xlim()[0]))
    _stage_legend(figure, last.stage)
    return figure


@styled
def language_distances(distances: Mapping[str, pd.DataFrame]) -> Figure:
    """Distances between the languages' mean vectors, one heat map a stage, all on one scale from 0.

    Args:
        distances: by stage, an (L, L) table as `xgrl.evaluation.probing.geometry.mean_geometry` gives it.
    """
    languages, top = (
        len(next(iter(distances.values()))),
        max(table.to_numpy().max() for table in distances.values()),
    )
    figure = new_figure(
        (0.36 * languages + 0.9) * len(distances) + 0.9, max(0.36 * languages, 1.8) + 0.9
    )
    axes = figure.subplots(1, len(distances), squeeze=False)[0]
    for ax, (stage, table) in zip(axes, distances.items(), strict=True):
        values = table.to_numpy(dtype=float)
        image = ax.imshow(values, cmap="cividis", vmin=0, vmax=top)
        for i, j in np.argwhere(~np.eye(languages, dtype=bool)):
            colour = "white" if values[i, j] < 0.6 * top else "black"
            ax.text(j, i, f"{values[i, j]:.1f}", ha="center", va="center", color=colour, fontsize=7)
        ax.set_xticks(range(languages), table.columns)
        ax.set_yticks(range(languages), table.index)
        ax.set_title(stage)
        ax.grid(visible=False)
    figure.colorbar(image, ax=axes, label="distance / spread in a language")
    return figure


@styled
def reversal_steps(points: pd.DataFrame, boundaries: pd.DataFrame) -> Figure:
    """A toy training in pictures: features, the discriminator's decision line, and where the
    reversed gradient pushes.

    Args:
        points: training, step, x, y (features), language, dx, dy (minus the gradient that comes
            back through the reversal, the direction in which a step of descent moves the feature;
            every fifth one is drawn, the longest of a training alike).
        boundaries: training, step, a, b, c (the discriminator is undecided where a x + b y + c =
            0), accuracy (percent).
    """
    trainings, languages = list(dict.fromkeys(points.training)), sorted(points.language.unique())
    columns = points.groupby("training").step.nunique().max()
    figure = new_figure(2.5 * columns + 0.4, 2.6 * len(trainings) + 0.5)
    axes = figure.subplots(len(trainings), columns, sharex=True, sharey=True, squeeze=False)
    wide, high = (1.15 * points[axis].abs().max() for axis in ("x", "y"))
    for row, training in zip(axes, trainings, strict=True):
        own = points[points.training == training]
        longest = np.hypot(own.dx, own.dy).max() or 1.0
        for ax, line in zip(
            row, boundaries[boundaries.training == training].itertuples(), strict=True
        ):
            now = own[own.step == line.step]
            for language, colour, marker in zip(
                languages, ("#0072B2", "#E69F00"), MARKERS[:2], strict=True
            ):
                part = now[now.language == language]
                ax.scatter(
                    part.x,
                    part.y,
                    s=14,
                    color=colour,
                    marker=marker,
                    alpha=0.6,
                    linewidths=0,
                    label=language,
                )
            few = now.iloc[::5]
            shape = {
                "angles": "xy",
                "scale_units": "xy",
                "scale": 1.3 * longest / high,
                "width": 0.007,
            }
            ax.quiver(few.x, few.y, few.dx, few.dy, color="black", zorder=3, **shape)
            foot = -line.c * np.array([line.a, line.b]) / (line.a**2 + line.b**2)
            along = np.array([-line.b, line.a]) / np.hypot(line.a, line.b) * 4 * wide
            ax.plot(
                *np.stack([foot - along, foot + along], axis=1),
                color="black",
                linestyle="--",
                linewidth=1.2,
            )
            ax.set(xlim=(-wide, wide), ylim=(-1.3 * high, 1.3 * high), xticks=[], yticks=[])
            ax.set_title(f"step {line.step}: reads {line.accuracy:.0f} %", fontsize=9)
        row[0].set_ylabel(training)
    names = (*languages, "discriminator's line")
    handles = [
        *axes[0, 0].get_legend_handles_labels()[0],
        Line2D([], [], color="black", linestyle="--"),
    ]
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


def _staged(table: pd.DataFrame) -> list[tuple[str, pd.Series, pd.DataFrame]]:
    """Name, shifted layers and rows of each stage, so that marks of layers that did not move stand
    side by side.
    """
    stages = list(dict.fromkeys(table.stage))
    parts = [table[table.stage == stage].sort_values("layer") for stage in stages]
    shifts = 0.2 * (np.arange(len(stages)) - (len(stages) - 1) / 2)
    return [
        (stage, part.layer + shift, part)
        for stage, part, shift in zip(stages, parts, shifts, strict=True)
    ]


def _intervals(
    ax: Axes,
    x: pd.Series,
    part: pd.DataFrame,
    value: str,
    low: str,
    high: str,
    shape: dict[str, str],
) -> None:
    """A line with marks and vertical intervals."""
    error = (part[value] - part[low], part[high] - part[value])
    ax.errorbar(x, part[value], yerr=error, **shape, elinewidth=1.2)


def _stage_look(stage: str) -> dict[str, str]:
    colour, marker, line = STAGES[stage]
    return {"color": colour, "marker": marker, "linestyle": line}


def _stage_legend(figure: Figure, stages: pd.Series) -> None:
    shown = list(dict.fromkeys(stages))
    figure.legend(
        [Line2D([], [], **_stage_look(stage)) for stage in shown],
        shown,
        loc="outside upper center",
        ncols=len(shown),
    )
