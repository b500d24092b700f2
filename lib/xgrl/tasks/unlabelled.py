"""The discriminator's text: sentences of the native Wikipedias, English and foreign from the same corpus and in the same form.

If English and foreign text differed in genre, template or length, those would be the "domain" that a discriminator
finds, not the language. So both come from the one corpus (BIG-bench paragraph_segmentation, 1,000 articles a
language, one sentence a line), pass the same filter, and are matched in length. No target is made from these
articles.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Value

from xgrl.sources.cache import cached_table
from xgrl.sources.fixture import LANGUAGES as FIXTURE_LANGUAGES
from xgrl.sources.fixture import fixture_unlabelled
from xgrl.sources.packages import pin, read_member
from xgrl.tasks.formats import code_version, named
from xgrl.tasks.leakage import normalise

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ru")
SOURCES = {"packages": LANGUAGES, "fixture": FIXTURE_LANGUAGES}
SHORTEST, LONGEST = 20, 400
MEMBER = "bigbench/benchmark_tasks/paragraph_segmentation/task.json"
FEATURES = Features({"id": Value("string"), "text": Value("string"), "language": Value("string")})


def load_unlabelled(languages: Sequence[str] = LANGUAGES, source: str = "packages") -> Dataset:
    """Unlabelled sentences of several languages.

    Args:
        languages: codes; the embedded corpus has de en es fr it nl pl pt ru, the fixture every language of a task.
        source: "packages" or "fixture".

    Returns:
        id, text, language; ordered by language as given, then by document. Sentences shorter than SHORTEST or longer
        than LONGEST characters, without a letter first and a full stop, question or exclamation mark last, and
        repeats are left out.

    Raises:
        ValueError: a language or source that does not exist, or no language.
    """
    allowed = SOURCES[named("source", source, tuple(SOURCES))]
    chosen = [named("language", language, allowed) for language in languages]
    if not chosen:
        raise ValueError(f"languages=[]: give at least one of {', '.join(allowed)}")
    if source == "fixture":
        return Dataset.from_list([row for language in chosen for row in fixture_unlabelled(language)], features=FEATURES)
    key = f"unlabelled-{pin('bigbench').sha256[:12]}-{code_version()}"
    everything = cached_table(key, lambda: Dataset.from_list(list(_wikipedia()), features=FEATURES).data.table)
    return Dataset(pa.concat_tables([everything.filter(pc.field("language") == language) for language in chosen]))


def match_lengths(
    lengths: Mapping[str, np.ndarray], target: np.ndarray, n: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Choose n texts of each language so that all languages have the same distribution of lengths.

    For each of n lengths drawn from `target`, in that order, the unused text of the nearest length is taken; n
    lengths are drawn without replacement while `target` has enough.

    Args:
        lengths: per language (k,) ints, the lengths in tokens of its candidate texts.
        target: (m,) ints, the lengths to imitate, of the labelled texts.
        n: texts wanted of each language.
        rng: draws the lengths, and which of equally long texts is taken.

    Returns:
        per language (n,) int positions into its candidates, all different; position j of every language stands for
        the same drawn length.

    Raises:
        ValueError: a language with fewer than n candidates, or an empty `target`.
    """
    if not len(target):
        raise ValueError("target is empty: there are no lengths to imitate")
    wanted = rng.choice(np.asarray(target), size=n, replace=n > len(target))
    result = {}
    for language, found in lengths.items():
        if len(found) < n:
            raise ValueError(f"language {language!r} has {len(found)} texts, fewer than the {n} wanted")
        shuffled = rng.permutation(len(found))  # so that the draw, not the corpus, orders texts of equal length
        places = shuffled[np.argsort(np.asarray(found)[shuffled], kind="stable")].tolist()
        values = np.asarray(found)[places].tolist()
        result[language] = np.array([_take_nearest(values, places, length) for length in wanted.tolist()], dtype=int)
    return result


def _take_nearest(values: list[int], places: list[int], length: int) -> int:
    """Remove the value nearest to `length` from the sorted `values`, and return what stood at its place in `places`."""
    i = bisect_left(values, length)
    if i == len(values) or (i and length - values[i - 1] <= values[i] - length):
        i -= 1
    values.pop(i)
    return places.pop(i)


def _wikipedia() -> Iterator[dict[str, str]]:
    """Every sentence that passes the filter, each once, named by language, document and line."""
    examples = json.loads(read_member("bigbench", MEMBER))["examples"]
    seen: set[str] = set()
    for number, example in enumerate(examples):
        language = LANGUAGES[number * len(LANGUAGES) // len(examples)]
        for line, raw in enumerate(example["input"].split("\n")):
            text, key = " ".join(raw.split()), normalise(raw)
            if SHORTEST <= len(text) <= LONGEST and re.fullmatch(r"[^\W\d_].*[.!?]", text) and key not in seen:
                seen.add(key)
                yield {"id": f"wikipedia-{language}-{number % 1000}-{line}", "text": text, "language": language}
