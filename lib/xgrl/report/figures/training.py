"""Figures of training: did it work, what happened step by step, how lambda rises."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xgrl.models.grl import lambda_at
from xgrl.report.figures import style

CURVES = {
    "task_loss": "task loss, nats", "domain_loss": "domain loss,\nnats",
    "discriminator_accuracy": "discriminator\naccuracy, %", "lambda": "lambda",
    "feature_norm": "feature norm", "gradient_cosine": "cosine of task's\nand arm's gradient",
    "gradient_ratio": "arm's gradient at the\nfeatures / task's",
}  # fmt: skip
MOST_STEPS = 50  # more are drawn as means of neighbours
CHECKS = (  # of an intermediate task: metric, what guessing gives, question, unit
    ("dev_accuracy", "majority_accuracy", "learned?", "English development accuracy, %"),
    ("discriminator_accuracy", "discriminator_chance", "adversary acted?",
     "discriminator accuracy, %"),
)  # fmt: skip


@style.styled
def manipulation_check(runs: pd.DataFrame) -> Figure:
    """Were the tasks learned, did the adversary act, is there room to move on each target?

    runs: as `xgrl.report.load_study.collect` makes them: keys and metrics of `run.json`, percent.
    """
    runs = runs.reindex(columns=[*dict.fromkeys([*runs, *CHECKS[0][:2], *CHECKS[1][:2]])])
    tasks = dict(list(runs[runs.phase == "intermediate"].groupby("intermediate")))
    untrained = runs[(runs.phase == "target") & (runs.arm == "none")]
    order = untrained.groupby("target").macro.mean().sort_values().index
    heights = [1 + 0.19 * n for n in (*(own.arm.nunique() for own in tasks.values()), len(order))]
    grid = {"height_ratios": heights, "sharey": "row", "squeeze": False}
    caption = "Marks: runs (n) on the 95 % t interval of their mean, none without a discriminator. "
    caption += "Ticks: majority class, chance, guessing. Grey: ceiling."
    size = style.WIDTH, 0.6 + sum(heights)
    figure, axes = style.new_axes(*size, len(heights), 2, caption=caption, **grid)
    for row, (task, own) in zip(axes, tasks.items(), strict=False):
        for ax, (value, guess, question, unit) in zip(row, CHECKS, strict=True):
            style.run_rows(ax, own, "arm", value, guess, style.looks(own.arm))
            ax.set(title=f"{task}: {question}", xlabel=unit, xlim=(-2, 102))
    room, public = style.across(axes[-1]), style.looks(["none"])["none"]
    style.run_rows(room, untrained, "target", "macro", "majority", dict.fromkeys(order, public))
    room.axvspan(95, 100, color="#DDDDDD", zorder=0)
    room.set(title="targets: room to move?", xlabel="zero-shot macro of arm none, %")
    room.set_xlim(-2, 102)
    return figure


@style.styled
def curves(frame: pd.DataFrame, chance: float | None = None) -> Figure:
    """Training curves by arm: mean over seeds with its 95 % t interval (a single seed has no band).

    frame: intermediate, arm, seed, step, task_loss, domain_loss, discriminator_accuracy, lambda,
    feature_norm, and gradient_cosine and gradient_ratio where runs recorded them. chance:
    discriminator accuracy of guessing, percent.
    """
    recorded = frame.columns[frame.notna().any()]
    names = [name for name in CURVES if name in recorded or name == "task_loss"]
    tasks, drawn = sorted(frame.intermediate.unique()), style.looks(frame.arm)
    size = max(style.WIDTH, 2.4 * len(tasks)), 1 + 1.25 * len(names)
    grid = {"squeeze": False, "sharex": "col", "sharey": "row"}
    caption = "Means over seeds (n), bands: 95 % t intervals. Dots: chance, or a cosine of 0."
    figure, axes = style.new_axes(*size, len(names), len(tasks), caption=caption, **grid)
    for task, column in zip(tasks, axes.T, strict=True):
        own = frame[frame.intermediate == task]
        width = max(1, -(-int(own.step.max() + 1) // MOST_STEPS))
        own = own.assign(step=own.step // width * width)
        for ax, name in zip(column, names, strict=True):
            for arm, shape in drawn.items():
                steps = own[own.arm == arm].dropna(subset=[name])
                steps = steps.groupby(["step", "seed"])[name].mean().unstack()
                every = {"markevery": max(1, len(steps) // 8), "markersize": 4}
                style.band(ax, steps.index, steps.to_numpy(), **shape | every)
            level = {"discriminator_accuracy": chance, "gradient_cosine": 0}.get(name)
            if level is not None:
                ax.axhline(level, color="black", linestyle=":", linewidth=1)
        column[0].set_title(task)
        column[-1].set_xlabel("step")
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(CURVES[name])
    figure.align_ylabels(axes[:, 0])
    style.arm_legend(figure, frame)
    return figure


@style.styled
def schedule(lambda_max: float) -> Figure:
    """lambda by the share of training done (Ganin et al. 2016, JMLR 17, section 5.2.2)."""
    caption = f"Half way: {100 * lambda_at(0.5, 1.0):.0f} % of lambda_max (dots)."
    figure, ax = style.new_axes(5.0, 2.2, caption=caption)
    progress = np.linspace(0, 1, 101)
    ax.plot(progress, [lambda_at(p, lambda_max) for p in progress], color="black")
    ax.axhline(lambda_max, color="black", linestyle=":")
    ax.set(xlabel="share of training done", ylabel="lambda", xlim=(0, 1), ylim=(0, None))
    return figure
