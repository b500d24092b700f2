"""Figures of training: was the task learned, did the adversary act, what happened step by step."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from xgrl.report.figures.style import arm_legend, band, new_figure, strip, styled


@styled
def manipulation_check(runs: pd.DataFrame) -> Figure:
    """Was each intermediate task learned, did the adversary act, is there room to move on each
    target?

    Args:
        runs: one row a run, as `xgrl.report.load_study.collect` makes them: keys and the metrics of
            `run.json`, in percent.
    """
    trained, untrained = (
        runs[runs.phase == "intermediate"],
        runs[(runs.phase == "target") & (runs.arm == "none")],
    )
    wide = trained.arm.nunique() > 4
    figure = new_figure(9, 9) if wide else new_figure(11, 3.4)
    learned, adversary, room = figure.subplots(*((3, 1) if wide else (1, 3)))
    tasks = sorted(trained.intermediate.unique())
    strip(learned, trained, tasks, "dev_accuracy", ("dev_low", "dev_high"))
    for row, task in enumerate(tasks):
        majority = trained.loc[trained.intermediate == task, "majority_accuracy"].max()
        learned.plot([row - 0.45, row + 0.45], [majority] * 2, color="black", linewidth=2)
    learned.set(title="task learned? (bar: majority class)", ylabel="English dev accuracy, %")
    opposed = trained.dropna(subset=["discriminator_accuracy"])
    strip(adversary, opposed, tasks, "discriminator_accuracy", None)
    if len(opposed):
        adversary.axhline(opposed["discriminator_chance"].mean(), color="black", linestyle=":")
    adversary.set(
        title="adversary acted? (dots: chance)", ylabel="discriminator accuracy, %", ylim=(0, 102)
    )
    targets = sorted(untrained.target.unique())
    strip(room, untrained.assign(intermediate=untrained.target), targets, "macro", None)
    room.axhspan(95, 100, color="#DDDDDD", zorder=0)
    for row, target in enumerate(targets):
        guessing = untrained.loc[untrained.target == target, "majority"].mean()
        room.plot([row - 0.45, row + 0.45], [guessing] * 2, color="black", linewidth=2)
    room.set(
        title="room to move? (bar: guessing, grey: ceiling)",
        ylabel="zero-shot macro of arm none, %",
        ylim=(0, 100),
    )
    arm_legend(figure, runs.loc[runs.phase.isin(["intermediate", "target"]), "arm"])
    return figure


@styled
def curves(frame: pd.DataFrame, chance: float | None = None) -> Figure:
    """Training curves by arm: mean over seeds with its 95 % t interval (a single seed has no band).

    Args:
        frame: intermediate, arm, seed, step, task_loss, domain_loss, discriminator_accuracy,
            lambda, feature_norm, and gradient_cosine where runs recorded it.
        chance: discriminator accuracy of guessing, percent.
    """
    names = {
        "task_loss": "task loss", "domain_loss": "domain loss", "discriminator_accuracy": "discriminator\naccuracy, %",
        "lambda": "lambda", "feature_norm": "feature norm", "gradient_cosine": "cosine of task's\nand arm's gradient",
    }  # fmt: skip
    names = {
        name: label
        for name, label in names.items()
        if name in frame and (frame[name].notna().any() or name == "task_loss")
    }
    tasks = sorted(frame.intermediate.unique())
    figure = new_figure(4.2 * len(tasks) + 0.6, 0.7 + 1.5 * len(names))
    axes = figure.subplots(len(names), len(tasks), squeeze=False, sharex="col", sharey="row")
    for column, task in enumerate(tasks):
        part = frame[frame.intermediate == task]
        width = max(1, -(-int(part.step.max() + 1) // 50))
        part = part.assign(step=part.step // width * width)
        for row, (name, label) in enumerate(names.items()):
            for arm, of_arm in part.dropna(subset=[name]).groupby("arm"):
                by_step = of_arm.groupby(["step", "seed"])[name].mean().unstack()
                band(
                    axes[row, column],
                    by_step.index,
                    by_step.to_numpy(),
                    arm,
                    marked=len(by_step) < 15,
                )
            axes[row, 0].set_ylabel(label)
        if chance is not None and "discriminator_accuracy" in names:
            axes[list(names).index("discriminator_accuracy"), column].axhline(
                chance, color="black", linestyle=":"
            )
        axes[0, column].set_title(task)
        axes[-1, column].set_xlabel("step")
    arm_legend(figure, frame.arm)
    return figure
