"""The arms: what each adds to English intermediate-task training.

An arm is an object that adds a term to the loss. To add one, write a file with a subclass of
`xgrl.arms.base.Arm` and give it a line in `ARMS`.

A *variant* of an arm is the arm's name, a hyphen and anything ("dann-0.01", "dann-tokens"): the
same method with settings of its own in the study file (``nuisance.lambda_max``, ``domains``,
``discriminator_features``, ``discriminator_layer``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import Any

# formats of intermediate tasks
TRAINABLE = ("classification", "multiple_choice", "span_qa", "tagging", "mixture")


@dataclass(frozen=True)
class Line:
    """One line of the table of arms.

    Attributes:
        where: "file:Class" of an arm that trains; "" for one that trains nothing.
        text: the prepared corpus that its batches hold beside the labelled texts: "unlabelled",
            "language-modelling" (text that may be used for it), "pairs" (translations) or
            "translated" (translations of the task's own rows).
        formats: formats of the intermediate tasks that it can serve.
        domains: how its discriminator must divide the languages, where it cannot choose: "binary".
        cached: whether it trains on the stored output of the frozen layers; not where it changes
            what they read or compute.
        checkpoint: the arm whose checkpoint it takes as it is, where it trains nothing.
        vectors: "file:function" that is applied to the vectors of a retrieval target, which is then
            all that it serves.
    """

    where: str = ""
    text: str = ""
    formats: tuple[str, ...] = TRAINABLE
    domains: str = ""
    cached: bool = True
    checkpoint: str = ""
    vectors: str = ""


ARMS = {
    "none": Line(),  # no intermediate training: the public encoder goes straight to the target
    "standard": Line("base:Standard"),
    "control": Line("dann:Control", "unlabelled"),
    "dann": Line("dann:DANN", "unlabelled"),
    "shuffled": Line("dann:Shuffled", "unlabelled"),
    "cdan": Line("cdan:CDAN", "unlabelled", formats=("classification",)),
    "wdgrl": Line("wdgrl:WDGRL", "unlabelled", domains="binary"),
    "mlm": Line("mlm:MLM", "language-modelling", cached=False),
    "translated": Line("translated:Translated", "translated", formats=("classification",)),
    "robust-adversarial": Line("robust:Adversarial"),
    "robust-smoothing": Line("robust:Smoothing"),
    "lexical": Line("lexical:Lexical", "pairs", cached=False),
    "centring": Line(checkpoint="standard", vectors="centring:centre"),
}


def is_arm(name: str) -> bool:
    """Whether a name is an arm of the table, or a variant of one."""
    return any(name == arm or name.startswith(f"{arm}-") for arm in ARMS)


def method_of(arm: str) -> str:
    """The line of `ARMS` that an arm belongs to: its own name, or that of the method it is a
    variant of; else ValueError.
    """
    if not is_arm(arm):
        raise ValueError(
            f"arm={arm!r}: unknown; allowed: {', '.join(ARMS)}, or one of them with -suffix"
        )
    return max((name for name in ARMS if arm == name or arm.startswith(f"{name}-")), key=len)


def arms_in_order(arms: Iterable[str]) -> list[str]:
    """Arms as they stand in tables: in the order of `ARMS`, a method before its variants, these by
    number or name.
    """

    def key(arm: str) -> tuple:
        method = method_of(arm)
        suffix = arm[len(method) + 1 :]
        try:
            number = float(suffix)
        except ValueError:
            number = inf
        return list(ARMS).index(method), bool(suffix), number, suffix

    return sorted(arms, key=key)


def line_of(arm: str) -> Line:
    """An arm's line of the table; ValueError where it has none."""
    return ARMS[method_of(arm)]


def arm_class(arm: str) -> type:
    """The class of an arm that trains; ValueError for an unknown name and for one that trains
    nothing.
    """
    line = line_of(arm)
    if not line.where:
        trained = [name for name, other in ARMS.items() if other.where]
        raise ValueError(f"arm={arm!r}: not an arm that trains; allowed: {', '.join(trained)}")
    return _named(line.where)


def vectors_of(arm: str) -> Any:
    """What an arm does to the vectors of a retrieval target, a function of an (n, H) array; None
    for nothing.
    """
    where = line_of(arm).vectors
    return _named(where) if where else None


def check_encoder(arms: Iterable[str], model: Any, tokenizer: Any) -> None:
    """ValueError, naming arm and reason, where an encoder or its tokenizer lacks what an arm needs."""
    for arm in arms:
        if line_of(arm).where and (reason := arm_class(arm).lacking(model, tokenizer)):
            raise ValueError(f"arm={arm!r}: {reason}")


def _named(where: str) -> Any:
    module, attribute = where.split(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def refusal(
    arm: str, task: Any, *, translations: Iterable[str] | None = (), domains: str = ""
) -> str:
    """Why an arm cannot serve an intermediate task, or a target; "" where it can.

    Args:
        arm: its name.
        task: a line of the tables in `xgrl.tasks`.
        translations: languages in which the sources of the study have the task's own training rows;
            None: not known here.
        domains: what the study asks its discriminator to tell apart.
    """
    line = line_of(arm)
    if task.role == "target":
        plain = task.format == "retrieval" and not task.trained
        return (
            ""
            if plain or not line.vectors
            else f"{arm!r} changes retrieval vectors, and {task.name!r} has none"
        )
    if task.format not in line.formats:
        wanted = ", ".join(line.formats).replace("_", " ")
        return f"{arm!r} serves {wanted} only, and {task.name!r} is {task.format.replace('_', ' ')}"
    if line.text == "translated" and translations is not None and not list(translations):
        return (
            f"{arm!r} needs translations of the training rows, and the study's sources have none "
            f"of {task.name!r}"
        )
    if line.domains and domains not in ("", line.domains):
        return (
            f"{arm!r} separates English from the rest: domains must be {line.domains!r} for it, "
            f"not {domains!r}"
        )
    return ""
