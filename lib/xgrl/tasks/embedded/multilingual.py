"""Multilingual tasks from the pinned packages: loaders ``(language, split, path) -> rows`` of the
embedded targets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from xgrl.runs.cache import cached_table
from xgrl.tasks.embedded.english import examples, held_out
from xgrl.tasks.formats import Row, inputs_version
from xgrl.tasks.leakage import UNSEGMENTED, distinct, normalise
from xgrl.tasks.sources.packages import read_member

SENTIMENT = ("en", "pl", "de", "es", "fr", "it", "ja", "nl", "pt", "ru", "zh")
SENTIMENTS = ("ambivalent", "negative", "neutral", "positive")
# German lacks row 46,912 and Portuguese 1,273 rows from 51,723 on; before that all eleven files are
# parallel, as labels and digits show.
ALIGNED = 46_912
INTENTS = (
    "HassCancelTimer", "HassClimateGetTemperature", "HassClimateSetFanMode", "HassClimateSetTemperature",
    "HassDecreaseTimer", "HassFanSetSpeed", "HassGetState", "HassIncreaseTimer", "HassLawnMowerDock",
    "HassLightSet", "HassMediaNext", "HassMediaPause", "HassMediaPrevious", "HassMediaSearchAndPlay",
    "HassPauseTimer", "HassRespond", "HassSetPosition", "HassSetVolume", "HassSetVolumeRelative", "HassStartTimer",
    "HassTimerStatus", "HassTurnOff", "HassTurnOn", "HassUnpauseTimer",
)  # fmt: skip
# Locales in which at least 16 of the English slots with FEWEST_TEMPLATES templates have as many.
SLOT_LANGUAGES = (
    "en", "ar", "bg", "ca", "cs", "da", "de", "el", "es", "eu", "fi", "fr", "it", "ml", "nb", "nl", "pl", "pt-BR", "ro",
    "ru", "sk", "sr", "sr-Latn", "th", "zh", "zh-TW",
)  # fmt: skip
SLOTS = (
    "area", "brightness", "color", "device_class", "fan_mode", "floor", "hours", "media_class", "minutes", "name",
    "percentage", "position", "search_query", "seconds", "start_hours", "start_minutes", "start_seconds", "state",
    "temperature", "volume_level", "volume_step",
)  # fmt: skip
SLOT_TAGS = ("O", *(f"{mark}-{slot}" for slot in SLOTS for mark in "BI"))
BITEXT = ("es", "fr", "it", "ja", "nl", "pl", "ru", "zh")
BITEXT_ROWS = 1000
EMOJI = ("ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
EMOJI_ROWS = 1500
# the package's `status` of an emoji that is not a component or an incomplete sequence
FULLY_QUALIFIED = 2
SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")
WORDS = re.compile(
    f"[{UNSEGMENTED}][\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*|[^\\s{UNSEGMENTED}]+"
)  # Thai marks stay on their letter
WIKILINGUA = {
    "en": "english", "ar": "arabic", "zh": "chinese", "cs": "czech", "nl": "dutch", "fr": "french", "de": "german",
    "hi": "hindi", "id": "indonesian", "it": "italian", "ja": "japanese", "ko": "korean", "pt": "portuguese",
    "ru": "russian", "es": "spanish", "th": "thai", "tr": "turkish", "vi": "vietnamese",
}  # fmt: skip


@cache
def _sentiment_split() -> dict[str, np.ndarray]:
    """Row numbers of each split, the same for every language.

    Of rows that repeat one another in any language one is kept. Development and test rows lie where
    all languages are parallel, and have text in each; everything else is training data, which
    exists in English only.
    """

    def build() -> pa.Table:
        texts = {
            language: [row["input"] for row in examples(f"multiemo/all_sentence_{language}")]
            for language in SENTIMENT
        }
        parallel = [
            columns for language, columns in texts.items() if language not in ("en", "de", "pt")
        ]
        kept = distinct(texts["en"], *parallel, texts["de"][:ALIGNED], texts["pt"][:ALIGNED])
        complete = np.array(
            [i < ALIGNED and all(normalise(column[i]) for column in texts.values()) for i in kept]
        )
        test, dev, rest = held_out(int(complete.sum()), "sentiment", 0.1, 0.05)
        usable = kept[complete]
        train = np.random.default_rng(len(kept)).permutation(
            np.concatenate([usable[rest], kept[~complete]])
        )
        names = np.repeat(["test", "dev", "train"], [len(test), len(dev), len(train)])
        return pa.table({"split": names, "row": np.concatenate([usable[test], usable[dev], train])})

    table = cached_table(f"sentiment-rows-{inputs_version('bigbench')}", build).to_pandas()
    return {split: rows["row"].to_numpy() for split, rows in table.groupby("split")}


def sentiment(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Sentences of reviews; labels are those of the English file, whose rows the others translate.

    "translated" is the training rows of another language, as far as that language is parallel.
    """
    texts, english = (
        examples(f"multiemo/all_sentence_{language}"),
        examples("multiemo/all_sentence_en"),
    )
    for i in (
        _parallel(language, "train")
        if split == "translated"
        else _sentiment_split()[split].tolist()
    ):
        scores = english[i]["target_scores"]
        yield {
            "id": f"sentiment-{i}",
            "text": texts[i]["input"].strip(),
            "text_pair": "",
            "label": SENTIMENTS.index(max(scores, key=scores.get)),
        }


def _parallel(language: str, split: str) -> list[int]:
    """Row numbers of a split that are the same sentence in English and in another language."""
    return [
        i for i in _sentiment_split()[split].tolist() if i < ALIGNED or language not in ("de", "pt")
    ]


def sentiment_pairs(language: str) -> Iterator[Row]:
    """Sentences of reviews and their English form, of the training and development rows: those that
    no test set holds.
    """
    texts, english = (
        examples(f"multiemo/all_sentence_{language}"),
        examples("multiemo/all_sentence_en"),
    )
    for i in [*_parallel(language, "train"), *_parallel(language, "dev")]:
        foreign, original = texts[i]["input"].strip(), english[i]["input"].strip()
        if normalise(foreign) and normalise(original):
            yield {
                "id": f"sentiment-{i}",
                "language": language,
                "text": foreign,
                "english": original,
            }


def intent(language: str, split: str, path: Path | None) -> list[Row]:
    """Commands to a voice assistant. English is split by template; every foreign row is a test row."""
    # brings the template parser, which only this task needs
    from xgrl.tasks.embedded.commands import commands, english_splits

    rows = commands(language, INTENTS)
    chosen = english_splits(rows)[split] if language == "en" else None
    return [row for row in rows if chosen is None or row["template"] in chosen]


def slots(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """The sentences of `intent`, in its splits, with a tag for every word: its slot, begun (B-) or
    continued (I-), or O.

    Words are what stands between blanks, characters where a script has no blanks between words. A
    word belongs to a slot of which any part is in it ("93-minute", or a room's name with a case
    ending).
    """
    for row in intent(language, split, path):
        places = [match.span() for match in WORDS.finditer(row["text"])]
        tags = ["O"] * len(places)
        for start, end, slot in row["spans"]:
            inside = [
                k
                for k, (first, last) in enumerate(places)
                if first < end and last > start and tags[k] == "O"
            ]
            tags = [
                f"{'I' if k != inside[0] else 'B'}-{slot}" if k in inside else tag
                for k, tag in enumerate(tags)
            ]
        tokens = [row["text"][slice(*place)] for place in places]
        yield {"id": row["id"].replace("intent", "slots", 1), "tokens": tokens, "tags": tags}


def bitext(language: str, split: str, path: Path | None) -> list[Row]:
    """BITEXT_ROWS sentences of the test rows of `sentiment`, and their English originals or
    translations.
    """
    texts = examples(f"multiemo/all_sentence_{'en' if split == 'candidates' else language}")
    chosen = _sentiment_split()["test"][:BITEXT_ROWS].tolist()
    return [{"id": f"bitext-{i}", "text": texts[i]["input"].strip()} for i in chosen]


def emoji_names(language: str, split: str, path: Path | None) -> list[Row]:
    """Short names of EMOJI_ROWS emoji, the same ones in every language.

    They are drawn from the emoji that have a name in all languages, no skin tone, and an English
    name that no other has.
    """

    def names(of: str) -> dict[str, str]:
        return json.loads(read_member("emoji", f"emoji/unicode_codes/emoji{of}.json"))

    def readable(name: str) -> str:
        return name.strip(":").replace("_", " ")

    everything = names("")
    english = {
        code: readable(entry["en"])
        for code, entry in everything.items()
        if entry["status"] == FULLY_QUALIFIED
    }
    foreign = {of: names(f"_{of}") for of in EMOJI}
    times: dict[str, int] = {}
    usable = [
        code
        for code in sorted(english)
        if not SKIN_TONES.search(code) and all(code in found for found in foreign.values())
    ]
    for code in usable:
        times[normalise(english[code])] = times.get(normalise(english[code]), 0) + 1
    unambiguous = [code for code in usable if times[normalise(english[code])] == 1]
    chosen = np.random.default_rng(EMOJI_ROWS).permutation(len(unambiguous))[:EMOJI_ROWS]
    text = (
        english
        if split == "candidates"
        else {code: readable(name) for code, name in foreign[language].items()}
    )
    return [{"id": f"emoji-{unambiguous[i]}", "text": text[unambiguous[i]]} for i in chosen]


def wikilingua(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """How-to passages and English summaries, 152 documents a language, not all the same; a shared
    document has one id.
    """
    mark = f"wiki_lingua_{WIKILINGUA[language]}_{language}-test-"
    everything = examples("gem/wikilingua_multilingual")
    number: dict[str, int] = {}
    for example in everything:
        number.setdefault(example["target"], len(number))
    for example in everything:
        if example["comment"].startswith(mark):
            # Some passages end in the description of a picture, in JSON.
            passage = re.sub(r'\{"smallUrl".*?\}', " ", example["input"])
            yield {
                "id": f"wikilingua-{number[example['target']]}",
                "text": (example["target"] if split == "candidates" else passage).strip(),
            }
