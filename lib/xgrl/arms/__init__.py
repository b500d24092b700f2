"""The arms: what each adds to English intermediate-task training.

An arm is an object that adds a term to the loss. To add one, write a file with a subclass of
`xgrl.arms.base.Arm` and give it a line in `ARMS` and one in `arm_classes`.

A *variant* of an arm is the arm's name, a hyphen and anything ("dann-0.01", "dann-tokens"): the
same method with settings of its own in the study file (`xgrl.runs.params.BY_ARM`, and steps). An
arm that trains nothing takes the checkpoint of another one: that of the table, or as a variant the
one after the hyphen ("centring-dann").
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from xgrl.arms.centring import centre

if TYPE_CHECKING:
    from xgrl.arms.base import Arm

# formats of intermediate tasks
TRAINABLE = ("classification", "multiple_choice", "span_qa", "tagging", "mixture")


@dataclass(frozen=True)
class ArmSpec:
    """One line of the table of arms.

    text: the prepared corpus that its batches hold beside the labelled texts, or where it trains
    nothing, that it reads at the target stage: "unlabelled", "language-modelling" (text that may be
    used for it), "pairs" (translations) or "translated" (of the task's own rows). asks: what its
    discriminator is to tell apart, "" for the texts' domains
    (`xgrl.training.batches.other_labels`). cached: whether it trains on the stored output of the
    frozen layers; not where it changes what they read or compute.
    """

    text: str = ""
    trains: bool = True  # an encoder; then its class stands in `arm_classes`
    formats: tuple[str, ...] = TRAINABLE  # of the intermediate tasks that it can serve
    domains: str = ""  # how its discriminator must divide the languages, if it must: "binary"
    asks: str = ""  # "genre", "pseudo-domains" or "length"
    cached: bool = True
    checkpoint: str = ""  # the arm whose checkpoint it takes as it is, where it trains nothing
    vectors: Callable | None = None  # applied to vectors (n, H) of retrieval, all that it serves
    erases: bool = False  # language from what heads read and retrieval searches (`xgrl.arms.leace`)


ARMS = {
    # no intermediate training: the public encoder goes straight to the target
    "none": ArmSpec(trains=False),
    "standard": ArmSpec(),
    "control": ArmSpec("unlabelled"),
    "dann": ArmSpec("unlabelled"),
    "dann-source": ArmSpec("unlabelled"),
    "dann-source-genre": ArmSpec("unlabelled", asks="genre"),
    "shuffled": ArmSpec("unlabelled"),
    "noise": ArmSpec("unlabelled"),
    "pseudo-domains": ArmSpec("unlabelled", asks="pseudo-domains"),
    "length-adversary": ArmSpec("unlabelled", asks="length"),
    "cdan": ArmSpec("unlabelled", formats=("classification",)),
    "wdgrl": ArmSpec("unlabelled", domains="binary"),
    "mlm": ArmSpec("language-modelling", cached=False),
    "translated": ArmSpec("translated", formats=("classification",)),
    "robust-adversarial": ArmSpec(),
    "robust-smoothing": ArmSpec(),
    "lexical": ArmSpec("pairs", cached=False),
    "alignment": ArmSpec("pairs"),
    "centring": ArmSpec(trains=False, checkpoint="standard", vectors=centre),
    "leace": ArmSpec("unlabelled", trains=False, checkpoint="standard", erases=True),
}


def arm_classes() -> "dict[str, type[Arm]]":
    """The class of every arm that trains. They need torch; who only looks at `ARMS` does not."""
    from xgrl.arms.alignment import Alignment
    from xgrl.arms.base import Standard
    from xgrl.arms.cdan import CDAN
    from xgrl.arms.dann import DANN, Control, Noise, Shuffled
    from xgrl.arms.lexical import Lexical
    from xgrl.arms.mlm import MLM
    from xgrl.arms.robust import Adversarial, Smoothing
    from xgrl.arms.source import Source
    from xgrl.arms.translated import Translated
    from xgrl.arms.wdgrl import WDGRL

    return {
        "standard": Standard, "control": Control, "dann": DANN, "dann-source": Source,
        "dann-source-genre": Source, "shuffled": Shuffled, "noise": Noise, "pseudo-domains": DANN,
        "length-adversary": DANN, "cdan": CDAN, "wdgrl": WDGRL, "mlm": MLM,
        "translated": Translated, "robust-adversarial": Adversarial, "robust-smoothing": Smoothing,
        "lexical": Lexical, "alignment": Alignment,
    }  # fmt: skip


def is_arm(name: str) -> bool:
    """Whether a name is an arm of the table, or a variant of one."""
    return any(f"{name}-".startswith(f"{arm}-") for arm in ARMS)


def method_of(arm: str) -> str:
    """The arm of the table that a name is, or is a variant of; ValueError where there is none."""
    if not is_arm(arm):
        allowed = f"{', '.join(ARMS)}, or one of them with -suffix"
        raise ValueError(f"arm={arm!r}: unknown; allowed: {allowed}")
    return max((name for name in ARMS if f"{arm}-".startswith(f"{name}-")), key=len)


def arms_in_order(arms: Iterable[str]) -> list[str]:
    """Arms in the order of `ARMS`, a method before its variants, these by number or name."""

    def key(arm: str) -> tuple:
        method = method_of(arm)
        suffix = arm[len(method) + 1 :]
        try:
            number = float(suffix)
        except ValueError:
            number = inf
        return list(ARMS).index(method), bool(suffix), number, suffix

    return sorted(arms, key=key)


def arm_spec(arm: str) -> ArmSpec:
    """An arm's line of the table; ValueError where it has none."""
    return ARMS[method_of(arm)]


def checkpoint_of(arm: str) -> str:
    """The arm whose checkpoint an arm's targets start from: itself, where it trains."""
    method = method_of(arm)
    return arm[len(method) + 1 :] or ARMS[method].checkpoint if ARMS[method].checkpoint else arm


def arm_class(arm: str) -> "type[Arm]":
    """The class of an arm; ValueError for an unknown name and for one that trains nothing."""
    if not arm_spec(arm).trains:
        trained = [name for name, spec in ARMS.items() if spec.trains]
        raise ValueError(f"arm={arm!r}: not an arm that trains; allowed: {', '.join(trained)}")
    return arm_classes()[method_of(arm)]


def check_encoder(arms: Iterable[str], model: Any, tokenizer: Any) -> None:
    """ValueError, naming arm and reason, where an encoder or its tokenizer lacks what one needs."""
    for arm in arms:
        if arm_spec(arm).trains and (reason := arm_class(arm).lacking(model, tokenizer)):
            raise ValueError(f"arm={arm!r}: {reason}")


def refusal(
    arm: str, task: Any, *, translations: Iterable[str] | None = (), domains: str = ""
) -> str:
    """Why an arm cannot serve an intermediate task, or a target; "" where it can.

    task: a line of the tables in `xgrl.tasks`; translations: languages in which the sources of the
    study have the task's own training rows, None where that is not known; domains: what the study
    asks its discriminator to tell apart.
    """
    spec = arm_spec(arm)
    if task.role == "target":
        if not spec.vectors or (task.format == "retrieval" and not task.trained):
            return ""
        return f"{arm!r} changes retrieval vectors, and {task.name!r} has none"
    if task.format not in spec.formats:
        wanted = ", ".join(spec.formats).replace("_", " ")
        return f"{arm!r} serves {wanted} only, and {task.name!r} is {task.format.replace('_', ' ')}"
    if spec.text == "translated" and translations is not None and not list(translations):
        needed = f"{arm!r} needs translations of the training rows"
        return f"{needed}, and the study's sources have none of {task.name!r}"
    if spec.domains and domains not in ("", spec.domains):
        wanted = f"domains must be {spec.domains!r} for it, not {domains!r}"
        return f"{arm!r} separates English from the rest: {wanted}"
    return ""
