"""Multilingual targets from the pinned packages: ``loader(language, split, path)`` gives rows."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import regex

from xgrl.runs.cache import cached_table
from xgrl.tasks.embedded.english import best_target, examples, held_out, labelled, shuffled
from xgrl.tasks.formats import Row, inputs_version
from xgrl.tasks.leakage import UNSEGMENTED, distinct, normalise
from xgrl.tasks.sources import codes
from xgrl.tasks.sources.packages import read_json

SENTIMENT = ("en", "pl", "de", "es", "fr", "it", "ja", "nl", "pt", "ru", "zh")
SENTIMENTS = ("ambivalent", "negative", "neutral", "positive")
# German lacks row 46,912 and Portuguese 1,273 rows from 51,723 on; before that all eleven files are
# parallel, as labels and digits show.
ALIGNED, SHORT = 46_912, ("de", "pt")
INTENTS = codes(
    "HassCancelTimer HassClimateGetTemperature HassClimateSetFanMode HassClimateSetTemperature "
    "HassDecreaseTimer HassFanSetSpeed HassGetState HassIncreaseTimer HassLawnMowerDock "
    "HassLightSet HassMediaNext HassMediaPause HassMediaPrevious HassMediaSearchAndPlay "
    "HassPauseTimer HassRespond HassSetPosition HassSetVolume HassSetVolumeRelative HassStartTimer "
    "HassTimerStatus HassTurnOff HassTurnOn HassUnpauseTimer"
)
# Locales in which at least 16 of the English slots with FEWEST_TEMPLATES templates have as many.
SLOT_LANGUAGES = codes(
    "en ar bg ca cs da de el es eu fi fr it ml nb nl pl pt-BR ro ru sk sr sr-Latn th zh zh-TW"
)
SLOTS = (
    "area", "brightness", "color", "device_class", "fan_mode", "floor", "hours", "media_class",
    "minutes", "name", "percentage", "position", "search_query", "seconds", "start_hours",
    "start_minutes", "start_seconds", "state", "temperature", "volume_level", "volume_step",
)  # fmt: skip
SLOT_TAGS = ("O", *(f"{mark}-{slot}" for slot in SLOTS for mark in "BI"))
BITEXT = ("es", "fr", "it", "ja", "nl", "pl", "ru", "zh")
BITEXT_ROWS = 1000
EMOJI = ("ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
EMOJI_ROWS = 1500
FULLY_QUALIFIED = 2  # `status` of an emoji that is no component or incomplete sequence
SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")
# Thai marks stay on their letter
WORDS = regex.compile(rf"[{UNSEGMENTED}]\p{{M}}*|[^\s{UNSEGMENTED}]+")
WIKILINGUA = {
    "en": "english", "ar": "arabic", "zh": "chinese", "cs": "czech", "nl": "dutch", "fr": "french",
    "de": "german", "hi": "hindi", "id": "indonesian", "it": "italian", "ja": "japanese",
    "ko": "korean", "pt": "portuguese", "ru": "russian", "es": "spanish", "th": "thai",
    "tr": "turkish", "vi": "vietnamese",
}  # fmt: skip


def _reviews(language: str) -> list[Row]:
    return examples(f"multiemo/all_sentence_{language}")


@cache
def _sentiment_split() -> dict[str, np.ndarray]:
    """Row numbers of each split, the same for every language.

    Of rows that repeat one another in any language one is kept. Development and test rows lie where
    all languages are parallel, with text in each; the rest is training data, in English only.
    """

    def build() -> pa.Table:
        texts = {code: [row["input"] for row in _reviews(code)] for code in SENTIMENT}
        parallel = [texts[code] for code in SENTIMENT if code not in ("en", *SHORT)]
        kept = distinct(texts["en"], *parallel, *(texts[code][:ALIGNED] for code in SHORT))
        columns = texts.values()
        complete = np.array([i < ALIGNED and all(normalise(x[i]) for x in columns) for i in kept])
        test, dev, rest = held_out(int(complete.sum()), "sentiment", 0.1, 0.05)
        usable = kept[complete]
        train = shuffled(np.concatenate([usable[rest], kept[~complete]]), seed=len(kept))
        names = np.repeat(["test", "dev", "train"], [len(test), len(dev), len(train)])
        return pa.table({"split": names, "row": np.concatenate([usable[test], usable[dev], train])})

    table = cached_table(f"sentiment-rows-{inputs_version('bigbench')}", build).to_pandas()
    return {split: rows["row"].to_numpy() for split, rows in table.groupby("split")}


def sentiment(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Sentences of reviews; labels are those of the English file, whose rows the others translate.

    "translated" is the training rows of another language, as far as that language is parallel.
    """
    texts, english = _reviews(language), _reviews("en")
    translated = split == "translated"
    for i in _parallel(language, "train") if translated else _sentiment_split()[split].tolist():
        label = SENTIMENTS.index(best_target(english[i]))
        yield labelled(f"sentiment-{i}", texts[i]["input"].strip(), label)


def _parallel(language: str, split: str) -> list[int]:
    """Row numbers of a split that are the same sentence in English and in another language."""
    return [i for i in _sentiment_split()[split].tolist() if i < ALIGNED or language not in SHORT]


def sentiment_pairs(language: str) -> Iterator[Row]:
    """Sentences of reviews and their English form, of the rows that no test set holds."""
    texts, english = _reviews(language), _reviews("en")
    for i in [*_parallel(language, "train"), *_parallel(language, "dev")]:
        foreign, original = texts[i]["input"].strip(), english[i]["input"].strip()
        if normalise(foreign) and normalise(original):
            id = f"sentiment-{i}"
            yield {"id": id, "language": language, "text": foreign, "english": original}


def intent(language: str, split: str, path: Path | None) -> list[Row]:
    """Commands to a voice assistant. English is split by template; foreign rows are test rows."""
    # brings the template parser, which only this task needs
    from xgrl.tasks.embedded.commands import commands, english_splits

    rows = commands(language, INTENTS)
    if language != "en":
        return rows
    chosen = english_splits(rows)[split]
    return [row for row in rows if row["template"] in chosen]


def slots(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """The sentences of `intent`, in its splits, with a tag for every word: its slot, begun (B-) or
    continued (I-), or O.

    Words are what stands between blanks, characters where a script has no blanks between words. A
    word belongs to a slot of which any part is in it ("93-minute", a name with a case ending).
    """
    for row in intent(language, split, path):
        words = list(WORDS.finditer(row["text"]))
        tags = ["O"] * len(words)
        for start, end, slot in row["spans"]:
            mark = "B"
            for k, word in enumerate(words):
                if word.start() < end and word.end() > start and tags[k] == "O":
                    tags[k], mark = f"{mark}-{slot}", "I"
        id = row["id"].replace("intent", "slots", 1)
        yield {"id": id, "tokens": [word[0] for word in words], "tags": tags}


def bitext(language: str, split: str, path: Path | None) -> list[Row]:
    """BITEXT_ROWS sentences of the test rows of `sentiment`, and the same in English."""
    texts = _reviews("en" if split == "candidates" else language)
    chosen = _sentiment_split()["test"][:BITEXT_ROWS].tolist()
    return [{"id": f"bitext-{i}", "text": texts[i]["input"].strip()} for i in chosen]


def emoji_names(language: str, split: str, path: Path | None) -> list[Row]:
    """Short names of EMOJI_ROWS emoji, the same in every language, drawn from those that have a
    name in all languages, no skin tone, and an English name that no other has.
    """

    def names(suffix: str) -> Row:
        return read_json("emoji", f"emoji/unicode_codes/emoji{suffix}.json")

    def readable(name: str) -> str:
        return name.strip(":").replace("_", " ")

    entries = ((x, entry) for x, entry in names("").items() if entry["status"] == FULLY_QUALIFIED)
    english = {emoji: readable(entry["en"]) for emoji, entry in entries}
    foreign = {code: names(f"_{code}") for code in EMOJI}
    plain = [emoji for emoji in sorted(english) if not SKIN_TONES.search(emoji)]
    usable = [emoji for emoji in plain if all(emoji in named for named in foreign.values())]
    times = Counter(normalise(english[emoji]) for emoji in usable)
    unambiguous = [emoji for emoji in usable if times[normalise(english[emoji])] == 1]
    chosen = shuffled(unambiguous, seed=EMOJI_ROWS)[:EMOJI_ROWS]
    if split != "candidates":
        return [{"id": f"emoji-{x}", "text": readable(foreign[language][x])} for x in chosen]
    return [{"id": f"emoji-{x}", "text": english[x]} for x in chosen]


def wikilingua(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """How-to passages and English summaries, 152 a language; a shared document has one id."""
    mark = f"wiki_lingua_{WIKILINGUA[language]}_{language}-test-"
    numbers: dict[str, int] = {}
    for example in examples("gem/wikilingua_multilingual"):
        number = numbers.setdefault(example["target"], len(numbers))
        if example["comment"].startswith(mark):
            # Some passages end in the description of a picture, in JSON.
            passage = re.sub(r'\{"smallUrl".*?\}', " ", example["input"])
            text = example["target"] if split == "candidates" else passage
            yield {"id": f"wikilingua-{number}", "text": text.strip()}
