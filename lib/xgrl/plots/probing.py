"""Figures of the representation: probes by layer, maps of sentences."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xgrl.plots.style import COLOURS, MARKERS, arm_legend, band, look, new_figure, styled


@styled
def probe_layers(layers: pd.DataFrame) -> Figure:
    """By layer and arm: accuracy of a fresh linear language probe against chance, and similarity to the public encoder.

    Args:
        layers: intermediate, arm, seed, layer, accuracy, low, high, chance (percent), cka (0 to 1). Several seeds: mean and t
            interval over seeds; one seed: the probe's exact interval.
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
                probe.fill_between(part.layer, part.low, part.high, color=look(arm)["color"], alpha=0.15, linewidth=0)
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
    """Sentences on the first two principal components, colour and marker by language, one panel a value of `by`.

    Args:
        maps: x, y, language and the column `by`.
    """
    panels, languages = list(dict.fromkeys(maps[by])), sorted(maps.language.unique())
    figure = new_figure(3.4 * len(panels) + 0.8, 3.4)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for k, language in enumerate(languages):
            part = maps[(maps[by] == panel) & (maps.language == language)]
            marker, colour = MARKERS[k % len(MARKERS)], COLOURS[k % len(COLOURS)]
            ax.scatter(part.x, part.y, s=14, marker=marker, color=colour, alpha=0.75, linewidths=0, label=language)
        ax.set(title=str(panel), xticks=[], yticks=[])
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", markerscale=1.6)
    return figure
