"""Every figure of the study: one function a figure, plain frames in, a matplotlib `Figure` out.

Figures are made without pyplot, so there is no current figure, no backend to choose and no state to leave behind. `save`
writes svg and png that are the same bytes for the same numbers. Arms have fixed colours (Okabe and Ito's palette, told apart in
all common forms of colour blindness), and each also has its own marker and line style, so that print in grey loses nothing.
Differences use a diverging map centred on 0. Every estimate is drawn with its 95 % interval.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.stats import t as student

from xgrl.records import write_bytes

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "lines.linewidth": 1.5,
    "lines.markersize": 5, "svg.hashsalt": "xgrl", "figure.dpi": 110, "savefig.dpi": 110,
}  # fmt: skip
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES = ("-", "--", "-.", ":")
ARMS = {  # arm: colour, marker, line
    "none": ("#777777", "D", ":"),
    "standard": ("#0072B2", "o", "-"),
    "control": ("#56B4E9", "^", "-."),
    "dann": ("#D55E00", "s", "--"),
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under the house style without touching the caller's settings."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def save(figure: Figure, folder: str | Path, name: str) -> Path:
    """Write `folder/name.svg` and `folder/name.png` atomically, without dates; returns the path of the png."""
    with matplotlib.rc_context(STYLE):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            write_bytes(Path(folder) / f"{name}.{kind}", buffer.getvalue())
    return Path(folder) / f"{name}.png"


def show(figure: Figure, alt: str) -> Image:
    """The figure as a picture for a notebook's cell, with words for those who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Image(buffer.getvalue(), alt=alt)


@styled
def manipulation_check(runs: pd.DataFrame) -> Figure:
    """Was each intermediate task learned, did the adversary act, is there room to move on each target?

    Args:
        runs: one row a run, as `xgrl.collecting.collect` makes them: keys and the metrics of `run.json`, in percent.
    """
    trained, untrained = runs[runs.phase == "intermediate"], runs[(runs.phase == "target") & (runs.arm == "none")]
    figure = _figure(11, 3.4)
    learned, adversary, room = figure.subplots(1, 3)
    tasks = sorted(trained.intermediate.unique())
    _strip(learned, trained, tasks, "dev_accuracy", ("dev_low", "dev_high"))
    for row, task in enumerate(tasks):
        majority = trained.loc[trained.intermediate == task, "majority_accuracy"].max()
        learned.plot([row - 0.45, row + 0.45], [majority] * 2, color="black", linewidth=2)
    learned.set(title="task learned? (bar: majority class)", ylabel="English dev accuracy, %")
    opposed = trained.dropna(subset=["discriminator_accuracy"])
    _strip(adversary, opposed, tasks, "discriminator_accuracy", None)
    if len(opposed):
        adversary.axhline(opposed["discriminator_chance"].mean(), color="black", linestyle=":")
    adversary.set(title="adversary acted? (dots: chance)", ylabel="discriminator accuracy, %", ylim=(0, 102))
    targets = sorted(untrained.target.unique())
    _strip(room, untrained.assign(intermediate=untrained.target), targets, "macro", None)
    room.axhspan(95, 100, color="#DDDDDD", zorder=0)
    for row, target in enumerate(targets):
        guessing = untrained.loc[untrained.target == target, "majority"].mean()
        room.plot([row - 0.45, row + 0.45], [guessing] * 2, color="black", linewidth=2)
    room.set(title="room to move? (bar: guessing, grey: ceiling)", ylabel="zero-shot macro of arm none, %", ylim=(0, 100))
    _arm_legend(figure, runs.loc[runs.phase.isin(["intermediate", "target"]), "arm"])
    return figure


@styled
def curves(frame: pd.DataFrame, chance: float | None = None) -> Figure:
    """Training curves by arm: mean over seeds with its 95 % t interval (a single seed has no band).

    Args:
        frame: intermediate, arm, seed, step, task_loss, domain_loss, discriminator_accuracy, lambda, feature_norm.
        chance: discriminator accuracy of guessing, percent.
    """
    names = {
        "task_loss": "task loss", "domain_loss": "domain loss", "discriminator_accuracy": "discriminator\naccuracy, %",
        "lambda": "lambda", "feature_norm": "feature norm",
    }  # fmt: skip
    tasks = sorted(frame.intermediate.unique())
    figure = _figure(4.2 * len(tasks) + 0.6, 8.2)
    axes = figure.subplots(len(names), len(tasks), squeeze=False, sharex="col", sharey="row")
    for column, task in enumerate(tasks):
        part = frame[frame.intermediate == task]
        width = max(1, -(-int(part.step.max() + 1) // 50))
        part = part.assign(step=part.step // width * width)
        for row, (name, label) in enumerate(names.items()):
            for arm, of_arm in part.dropna(subset=[name]).groupby("arm"):
                by_step = of_arm.groupby(["step", "seed"])[name].mean().unstack()
                _band(axes[row, column], by_step.index, by_step.to_numpy(), arm)
            axes[row, 0].set_ylabel(label)
        if chance is not None:
            axes[2, column].axhline(chance, color="black", linestyle=":")
        axes[0, column].set_title(task)
        axes[-1, column].set_xlabel("step")
    _arm_legend(figure, frame.arm)
    return figure


@styled
def forest(per_task: pd.DataFrame, per_language: pd.DataFrame, margin: float) -> Figure:
    """Effect on each target (squares) and on each of its languages (dots), in points, with 95 % intervals.

    Args:
        per_task: target, theta, low, high. per_language: target, language, theta, low, high.
        margin: the equivalence margin, drawn as a grey band.
    """
    rows = []
    for task in per_task.itertuples():
        rows.append((str(task.target), task.theta, task.low, task.high, True))
        languages = per_language[per_language.target == task.target]
        rows += [(f"{each.language}", each.theta, each.low, each.high, False) for each in languages.itertuples()]
    figure = _figure(6.5, 1.2 + 0.2 * len(rows))
    ax = figure.subplots()
    ax.axvspan(-margin, margin, color="#DDDDDD", zorder=0)
    ax.axvline(0, color="black", linewidth=1)
    for y, (_, theta, low, high, whole) in enumerate(rows):
        ax.plot([low, high], [y, y], color="#D55E00" if whole else "#0072B2", linewidth=2.5 if whole else 1.2)
        ax.plot(theta, y, marker="s" if whole else "o", color="#D55E00" if whole else "#0072B2", markersize=7 if whole else 4)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row[4] else "normal")
    ax.invert_yaxis()
    ax.set(xlabel=f"treatment - baseline, points (grey: margin of {margin:g})")
    return figure


@styled
def heatmap(per_language: pd.DataFrame) -> Figure:
    """Differences by language and target on a diverging map centred on 0; each cell: points, and half its 95 % interval.

    Args:
        per_language: target, language, theta, low, high.
    """
    values = per_language.pivot(index="language", columns="target", values="theta")
    width = per_language.assign(width=per_language.high - per_language.low)
    half = width.pivot(index="language", columns="target", values="width") / 2
    limit = max(float(np.nanmax(np.abs(values.to_numpy()))), 0.1)
    figure = _figure(1.6 + 1.25 * values.shape[1], 1.2 + 0.34 * values.shape[0])
    ax = figure.subplots()
    ax.set_facecolor("#EEEEEE")
    image = ax.imshow(values, cmap="PuOr", norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    for (i, j), value in np.ndenumerate(values.to_numpy()):
        if np.isfinite(value):
            dark = abs(value) > 0.65 * limit
            text = f"{value:+.1f} ±{half.iloc[i, j]:.1f}" if np.isfinite(half.iloc[i, j]) else f"{value:+.1f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
    ax.set_xticks(range(values.shape[1]), values.columns, rotation=20, ha="right")
    ax.set_yticks(range(values.shape[0]), values.index)
    ax.grid(False)
    figure.colorbar(image, label="treatment - baseline, points")
    return figure


@styled
def paired_blocks(blocks: pd.DataFrame, baseline: str, treatment: str, theta: float, ci: tuple[float, float]) -> Figure:
    """The blocks that the test counts: both arms joined by a line, and the differences with their mean and interval.

    Args:
        blocks: intermediate, seed, baseline, treatment (zero-shot macro), m_b (their difference): one row a block, in points.
        theta, ci: the estimate and its 95 % interval.
    """
    figure = _figure(8, 3.4)
    slopes, strip = figure.subplots(1, 2)
    tasks = sorted(blocks.intermediate.unique())
    for k, task in enumerate(tasks):
        part = blocks[blocks.intermediate == task]
        look = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
        slopes.plot([0, 1], part[["baseline", "treatment"]].to_numpy().T, linestyle=LINES[k % len(LINES)], linewidth=1, **look)
        strip.plot(part.m_b, k + np.linspace(-0.2, 0.2, len(part)), linestyle="", **look)
    slopes.set_xticks([0, 1], [baseline, treatment])
    slopes.set(xlim=(-0.2, 1.2), ylabel="zero-shot macro, points", title="each line one block")
    strip.axvline(0, color="black", linewidth=1)
    strip.plot(ci, [len(tasks)] * 2, color="black", linewidth=2.5)
    strip.plot(theta, len(tasks), marker="D", color="black", markersize=8)
    strip.set_yticks(range(len(tasks) + 1), [*tasks, "mean, 95 %"])
    strip.set(ylim=(-0.6, len(tasks) + 0.6), xlabel="difference, points", title="block differences")
    return figure


@styled
def probe_layers(layers: pd.DataFrame) -> Figure:
    """By layer and arm: accuracy of a fresh linear language probe against chance, and similarity to the public encoder.

    Args:
        layers: intermediate, arm, seed, layer, accuracy, low, high, chance (percent), cka (0 to 1). Several seeds: mean and t
            interval over seeds; one seed: the probe's exact interval.
    """
    own = [task for task in sorted(layers.intermediate.unique()) if task != "none"] or ["none"]
    figure = _figure(4.2 * len(own) + 0.6, 5.6)
    axes = figure.subplots(2, len(own), squeeze=False, sharex=True, sharey="row")
    for (probe, moved), task in zip(axes.T, own, strict=True):
        for arm, part in layers[layers.intermediate.isin([task, "none"])].groupby("arm"):
            for ax, value in ((probe, "accuracy"), (moved, "cka")):
                table = part.pivot(index="layer", columns=["intermediate", "seed"], values=value)
                _band(ax, table.index, table.to_numpy(dtype=float), arm, marked=True)
            if part.seed.nunique() == 1:
                part = part.sort_values("layer")
                probe.fill_between(part.layer, part.low, part.high, color=_look(arm)["color"], alpha=0.15, linewidth=0)
        probe.axhline(layers.chance.mean(), color="black", linestyle=":")
        probe.set(title=task, ylim=(0, 102))
        moved.set(xlabel="layer (0: embeddings)", ylim=(0, 1.03))
        moved.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("language probe accuracy, %\n(dots: chance)")
    axes[1, 0].set_ylabel("CKA with the public encoder")
    _arm_legend(figure, layers.arm)
    return figure


@styled
def language_map(maps: pd.DataFrame, by: str = "arm") -> Figure:
    """Sentences on the first two principal components, colour and marker by language, one panel a value of `by`.

    Args:
        maps: x, y, language and the column `by`.
    """
    panels, languages = list(dict.fromkeys(maps[by])), sorted(maps.language.unique())
    figure = _figure(3.4 * len(panels) + 0.8, 3.4)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for k, language in enumerate(languages):
            part = maps[(maps[by] == panel) & (maps.language == language)]
            marker, colour = MARKERS[k % len(MARKERS)], COLOURS[k % len(COLOURS)]
            ax.scatter(part.x, part.y, s=14, marker=marker, color=colour, alpha=0.75, linewidths=0, label=language)
        ax.set(title=str(panel), xticks=[], yticks=[])
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", markerscale=1.6)
    return figure


@styled
def calibration(table: pd.DataFrame, nominal: float = 0.05) -> Figure:
    """Type-I error of each method under a simulated null, with the Monte-Carlo 95 % interval, against the nominal level.

    Args:
        table: method, error, low, high (shares); methods are drawn in the order given.
    """
    figure = _figure(6, 0.9 + 0.3 * len(table))
    ax = figure.subplots()
    ax.axvline(nominal, color="black", linestyle=":")
    for y, row in enumerate(table.itertuples()):
        ax.plot([row.low, row.high], [y, y], color="#0072B2", linewidth=2)
        ax.plot(row.error, y, marker="o", color="#0072B2")
    ax.set_yticks(range(len(table)), table.method)
    ax.invert_yaxis()
    ax.set(xlim=(0, None), xlabel="share of simulated null studies called different (dots: nominal)")
    return figure


@styled
def power_curve(table: pd.DataFrame) -> Figure:
    """Smallest effect found with 80 % power against the number of blocks.

    Args:
        table: blocks, points; the row whose column `here` is true is this study's.
    """
    figure = _figure(4.6, 3.0)
    ax = figure.subplots()
    ax.plot(table.blocks, table.points, color="#0072B2", marker="o")
    ax.plot(table.blocks[table.here], table.points[table.here], color="#D55E00", marker="s", markersize=9, linestyle="")
    ax.set(xlabel="blocks (square: this study)", ylabel="detectable effect, points", ylim=(0, None))
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _look(arm: str) -> dict[str, str]:
    colour, marker, line = ARMS.get(arm, ("#CC79A7", "v", "-"))
    return {"color": colour, "marker": marker, "linestyle": line}


def _arm_legend(figure: Figure, arms: pd.Series) -> None:
    shown = [arm for arm in ARMS if arm in set(arms)] + sorted(set(arms) - set(ARMS))
    figure.legend([Line2D([], [], **_look(arm)) for arm in shown], shown, loc="outside upper center", ncols=len(shown))


def _strip(ax: Axes, runs: pd.DataFrame, groups: list[str], value: str, interval: tuple[str, str] | None) -> None:
    """One mark a run, by group, arms side by side; exact intervals where there are any, else mean and t interval a group."""
    arms = [arm for arm in ARMS if arm in set(runs.arm)] + sorted(set(runs.arm) - set(ARMS))
    for (group, arm), part in runs.groupby(["intermediate", "arm"]):
        x = groups.index(group) + (arms.index(arm) - (len(arms) - 1) / 2) * 0.22
        spread = x + np.linspace(-0.07, 0.07, len(part)) * (len(part) > 1)
        colour, marker = _look(arm)["color"], _look(arm)["marker"]
        ax.plot(spread, part[value], marker=marker, color=colour, linestyle="", markersize=4)
        if interval:
            ax.vlines(spread, part[interval[0]], part[interval[1]], color=colour, linewidth=1)
        else:
            _, low, high = _t_interval(part[[value]].to_numpy(dtype=float).T)
            ax.vlines(x, low, high, color=colour, linewidth=1.5)
    ax.set_xticks(range(len(groups)), groups, rotation=15)
    ax.set_xlim(-0.6, max(len(groups), 1) - 0.4)


def _band(ax: Axes, x: pd.Index, values: np.ndarray, arm: str, marked: bool = False) -> None:
    """Mean over the columns of (steps, seeds) with its t interval."""
    look = _look(arm) if marked else _look(arm) | {"marker": ""}
    mean, low, high = _t_interval(values)
    ax.plot(x, mean, **look)
    ax.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _t_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and 95 % t interval over the last axis; no interval (NaN) where there is one value."""
    n = np.isfinite(values).sum(-1)
    mean = np.nanmean(values, -1)
    variance = np.nansum((values - mean[..., None]) ** 2, -1) / np.where(n > 1, n - 1, np.nan)
    half = student.ppf(0.975, np.maximum(n - 1, 1)) * np.sqrt(variance / n)
    return mean, mean - half, mean + half
