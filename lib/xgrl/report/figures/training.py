"""Figures of training: did it work, what happened step by step, how lambda rises."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xgrl.models.grl import lambda_at
from xgrl.report.figures import style

CURVES = {
    "task_loss": "task loss", "domain_loss": "domain loss",
    "discriminator_accuracy": "discriminator\naccuracy, %", "lambda": "lambda",
    "feature_norm": "feature norm", "gradient_cosine": "cosine of task's\nand arm's gradient",
    "gradient_ratio": "arm's gradient at the\nfeatures / task's",
}  # fmt: skip
MOST_STEPS = 50  # more are drawn as means of neighbours


@style.styled
def manipulation_check(runs: pd.DataFrame) -> Figure:
    """Were the tasks learned, did the adversary act, is there room to move on each target?

    runs: one row a run, as `xgrl.report.load_study.collect` makes them: keys and the metrics of
    `run.json`, in percent.
    """
    recorded = ["dev_accuracy", "majority_accuracy", "discriminator_accuracy"]
    runs = runs.reindex(columns=[*dict.fromkeys([*runs.columns, *recorded])])
    trained = runs[runs.phase == "intermediate"]
    untrained = runs[(runs.phase == "target") & (runs.arm == "none")]
    wide = trained.arm.nunique() > 4
    figure, axes = style.new_axes(9, 9, 3, 1) if wide else style.new_axes(11, 3.4, 1, 3)
    learned, adversary, room = axes
    tasks, targets = (sorted(names.unique()) for names in (trained.intermediate, untrained.target))
    style.strip(learned, trained, tasks, "dev_accuracy", ("dev_low", "dev_high"))
    _bars(learned, trained.groupby("intermediate").majority_accuracy.max())
    learned.set(title="task learned? (bar: majority class)", ylabel="English dev accuracy, %")
    opposed = trained.dropna(subset=["discriminator_accuracy"])
    style.strip(adversary, opposed, tasks, "discriminator_accuracy", None)
    if len(opposed):
        adversary.axhline(opposed["discriminator_chance"].mean(), color="black", linestyle=":")
    adversary.set(title="adversary acted? (dots: chance)", ylim=(0, 102))
    adversary.set_ylabel("discriminator accuracy, %")
    style.strip(room, untrained.assign(intermediate=untrained.target), targets, "macro", None)
    room.axhspan(95, 100, color="#DDDDDD", zorder=0)
    _bars(room, untrained.groupby("target").majority.mean())
    room.set(title="room to move? (bar: guessing, grey: ceiling)", ylim=(0, 100))
    room.set_ylabel("zero-shot macro of arm none, %")
    style.arm_legend(figure, runs.loc[runs.phase.isin(["intermediate", "target"]), "arm"])
    return figure


def _bars(ax: Axes, levels: pd.Series) -> None:
    """A black bar across each group, in the order of the groups."""
    for group, level in enumerate(levels.sort_index()):
        ax.plot([group - 0.45, group + 0.45], [level] * 2, color="black", linewidth=2)


@style.styled
def curves(frame: pd.DataFrame, chance: float | None = None) -> Figure:
    """Training curves by arm: mean over seeds with its 95 % t interval (a single seed has no band).

    frame: intermediate, arm, seed, step, task_loss, domain_loss, discriminator_accuracy, lambda,
    feature_norm, and gradient_cosine and gradient_ratio where runs recorded them. chance:
    discriminator accuracy of guessing, percent.
    """
    recorded = frame.columns[frame.notna().any()]
    names = [name for name in CURVES if name in recorded or name == "task_loss"]
    tasks = sorted(frame.intermediate.unique())
    size, grid = (4.2 * len(tasks) + 0.6, 0.7 + 1.5 * len(names)), (len(names), len(tasks))
    figure, axes = style.new_axes(*size, *grid, squeeze=False, sharex="col", sharey="row")
    for task, column in zip(tasks, axes.T, strict=True):
        own = frame[frame.intermediate == task]
        width = max(1, -(-int(own.step.max() + 1) // MOST_STEPS))
        own = own.assign(step=own.step // width * width)
        for ax, name in zip(column, names, strict=True):
            for arm, values in own.dropna(subset=[name]).groupby("arm"):
                steps = values.groupby(["step", "seed"])[name].mean().unstack()
                shape = style.look(arm) | ({"marker": ""} if len(steps) >= 15 else {})
                style.band(ax, steps.index, steps.to_numpy(), **shape)
            if name == "discriminator_accuracy" and chance is not None:
                ax.axhline(chance, color="black", linestyle=":")
        column[0].set_title(task)
        column[-1].set_xlabel("step")
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(CURVES[name])
    style.arm_legend(figure, frame.arm)
    return figure


@style.styled
def schedule(lambda_max: float) -> Figure:
    """lambda over the share of training done, its largest value, and where it nearly has it.

    Source: Ganin et al. 2016 (JMLR 17), section 5.2.2.
    """
    figure, ax = style.new_axes(5.0, 2.2)
    progress = np.linspace(0, 1, 101)
    ax.plot(progress, [lambda_at(p, lambda_max) for p in progress], color=style.VERMILION)
    ax.axhline(lambda_max, color="black", linestyle=":")
    ax.axvline(0.5, color="#777777", linewidth=0.8)
    share = 100 * lambda_at(0.5, 1.0)
    ax.text(0.52, 0.4 * lambda_max, f"half way: {share:.0f} %\nof lambda_max")
    ax.set(xlabel="share of training done", ylabel="lambda")
    ax.set(xlim=(0, 1), ylim=(0, 1.12 * lambda_max))
    return figure
