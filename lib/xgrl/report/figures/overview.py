"""Pictures of the method: the phases and arms of a study, what gradient reversal does, how lambda
rises.

After Phang et al. 2020 (arXiv 2005.13013), figure 1, and Ganin et al. 2016 (JMLR 17), figure 1 and
section 5.2.2.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from xgrl.models.grl import lambda_at
from xgrl.report.figures.style import look, new_figure, styled

TASK, LANGUAGE = "#0072B2", "#D55E00"
PHASES = ("01 prepare", "02 intermediate training", "03 target", "05 analysis")
LANES = {  # arm: what 02 trains the encoder with
    "none": "nothing",
    "standard": "the English task",
    "control": "the English task;\na discriminator watches",
    "dann": "the English task, and against\na language discriminator",
}


@styled
def study_flow() -> Figure:
    """A study from left to right: one public encoder, a lane an arm, fine-tuning in English, test
    in other languages.
    """
    figure = new_figure(10.5, 3.9)
    ax = _canvas(figure.subplots(), 21, 7.6)
    for x, phase in zip((1.7, 6.9, 13.3, 19.0), PHASES, strict=True):
        ax.text(x, 7.35, phase, ha="center", va="top", weight="bold")
    _box(ax, 1.7, 3.3, 3.0, 1.6, "public\nmultilingual\nencoder")
    for y, (arm, what) in zip((5.9, 4.2, 2.5, 0.8), LANES.items(), strict=True):
        colour = look(arm)["color"]
        _box(ax, 6.9, y, 4.6, 1.2, f"{arm}: {what}", colour)
        _box(ax, 11.6, y, 2.7, 1.2, "fine-tuning\nin English", colour)
        _box(ax, 15.2, y, 2.5, 1.2, "test in other\nlanguages", colour)
        for start, end in (
            ((3.2, 3.3), (4.6, y)),
            ((9.2, y), (10.25, y)),
            ((12.95, y), (13.95, y)),
            ((16.45, y), (17.4, 3.3)),
        ):
            _arrow(ax, start, end, colour)
    _box(ax, 19.0, 3.3, 3.1, 2.2, "dann - standard:\nbetter, worse,\nequal, or\nnot to be told?")
    ax.text(
        9.3,
        -0.25,
        "04 probe: how much language can still be read here?",
        ha="center",
        va="center",
        style="italic",
    )
    _arrow(ax, (9.3, -0.05), (9.7, 0.7), "#777777")
    return figure


@styled
def reversal(weight: float) -> Figure:
    """One step of training with gradient reversal: what is computed forwards, and what comes back
    through which layer.

    Args:
        weight: lambda, as it is written into the picture.
    """
    figure = new_figure(9.6, 3.4)
    ax = _canvas(figure.subplots(), 19.2, 6.6)
    _box(ax, 1.5, 3.3, 2.4, 1.3, "texts")
    _box(ax, 5.2, 3.3, 2.6, 1.3, "encoder\n(trained)")
    _box(ax, 11.3, 5.2, 2.4, 1.2, "task head", TASK)
    _box(ax, 9.3, 1.4, 2.0, 1.2, "reversal", LANGUAGE)
    _box(ax, 13.2, 1.4, 2.8, 1.2, "discriminator", LANGUAGE)
    _box(ax, 17.4, 5.2, 3.0, 1.2, "task loss\n(English)", TASK)
    _box(ax, 17.4, 1.4, 3.0, 1.2, "which language?\nloss", LANGUAGE)
    forwards = (((2.7, 3.3), (3.9, 3.3)), ((6.5, 3.6), (10.1, 5.35)), ((12.5, 5.35), (15.9, 5.35)))
    forwards += (
        ((6.5, 3.0), (8.3, 1.6)),
        ((10.3, 1.55), (11.8, 1.55)),
        ((14.6, 1.55), (15.9, 1.55)),
    )
    for start, end in forwards:
        _arrow(ax, start, end, "#333333")
    for start, end, colour in (
        ((15.9, 5.0), (12.5, 5.0), TASK),
        ((10.1, 4.95), (6.5, 3.2), TASK),
        ((15.9, 1.2), (14.6, 1.2), LANGUAGE),
        ((11.8, 1.2), (10.3, 1.2), LANGUAGE),
        ((8.3, 1.2), (6.3, 2.6), LANGUAGE),
    ):
        _arrow(ax, start, end, colour, "--")
    ax.text(8.0, 4.95, "features f", ha="center", style="italic")
    ax.text(14.2, 4.55, "gradient as it is", color=TASK, ha="center", va="top")
    ax.text(
        13.2,
        0.55,
        "gradient g: the discriminator learns to tell languages apart",
        color=LANGUAGE,
        ha="center",
        va="top",
    )
    ax.text(
        6.2,
        1.1,
        f"$-\\lambda\\,g$  ($\\lambda$ = {weight:g})",
        color=LANGUAGE,
        ha="center",
        va="top",
        weight="bold",
    )
    ax.text(0.3, 6.4, "solid: forwards, dashed: backwards", va="top", color="#555555")
    return figure


@styled
def schedule(lambda_max: float, middle: float = 0.5) -> Figure:
    """lambda over the share of training that is done, its largest value, and where it has nearly
    reached that.
    """
    figure = new_figure(5.0, 2.2)
    ax = figure.subplots()
    progress = np.linspace(0, 1, 101)
    ax.plot(progress, [lambda_at(p, lambda_max) for p in progress], color=LANGUAGE)
    ax.axhline(lambda_max, color="black", linestyle=":")
    ax.axvline(middle, color="#777777", linewidth=0.8)
    share = 100 * lambda_at(middle, 1.0)
    ax.text(middle + 0.02, 0.4 * lambda_max, f"half way: {share:.0f} %\nof lambda_max")
    ax.set(
        xlabel="share of training done", ylabel="lambda", xlim=(0, 1), ylim=(0, 1.12 * lambda_max)
    )
    return figure


def _canvas(ax: Axes, width: float, height: float) -> Axes:
    ax.set(xlim=(0, width), ylim=(-0.6, height))
    ax.axis("off")
    return ax


def _box(
    ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str = "#444444"
) -> None:
    corner, style = (x - width / 2, y - height / 2), "round,pad=0.02,rounding_size=0.2"
    ax.add_patch(
        FancyBboxPatch(
            corner,
            width,
            height,
            boxstyle=style,
            facecolor="white",
            edgecolor=colour,
            linewidth=1.6,
        )
    )
    ax.text(x, y, text, ha="center", va="center", fontsize=8.5)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, line: str = "-"
) -> None:
    shape = {
        "arrowstyle": "-|>",
        "mutation_scale": 10,
        "shrinkA": 0,
        "shrinkB": 0,
        "linewidth": 1.3,
    }
    ax.add_patch(FancyArrowPatch(start, end, color=colour, linestyle=line, **shape))
