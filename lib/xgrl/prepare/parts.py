"""Which parts of the prepared folder a run follows from: when a target or a language is added, only
runs are made again of which a part has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from xgrl.arms import line_of


def input_parts(
    phase: str,
    trained_layers: int,
    *,
    tasks: Iterable[str] = (),
    arm: str = "none",
    target: str = "",
) -> list[str]:
    """The parts of the prepared folder that a run reads, in order.

    Args:
        phase: intermediate, target or probe.
        trained_layers: as in the study file; where the embeddings are trained too (-1) the
            vocabulary counts.
        tasks: the intermediate tasks that are trained on, those of a mixture.
        arm, target: of the run, where it has them.
    """
    parts = ["encoder", *(f"intermediate/{task}" for task in tasks)]
    text = line_of(arm).text if phase == "intermediate" else ""
    if text == "translated":
        parts += [f"intermediate/{task}/{text}" for task in tasks]
    elif text:
        parts.append(text)
    if target:
        parts.append(f"target/{target}")
    if phase == "probe":
        parts.append("texts")
    # language modelling predicts words of the study's vocabulary
    if trained_layers == -1 or text == "language-modelling":
        parts.append("vocabulary")
    return parts
