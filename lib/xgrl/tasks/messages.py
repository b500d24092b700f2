"""Text that may be used for language modelling: sentences of a program's messages and translations.

The discriminator's text of the embedded study (`xgrl.tasks.unlabelled`) is from BIG-bench, whose
publishers ask by a canary string that no language model be trained on it. So the arm that does
train one (mlm) gets other text there: what Home Assistant 2026.11 shows its users (Apache-2.0),
written in English and translated by volunteers; one corpus and one genre in every language.
Messages with placeholders or markup are left out, the others are cut into sentences and pass the
same filter as the discriminator's text; a foreign one that equals an English one was not translated
and is left out.

What that changes: the text is of one domain, home automation, and that is also the domain of the
targets `intent` and `slots` (whose sentences are other ones, from templates of commands). An effect
on these two may be one of domain, not of language modelling. And it is parallel in content, though
no pair is ever shown as one.

All other sources have text without such a request: there the arm gets the discriminator's own.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from xgrl.runs.cache import cached_table
from xgrl.tasks import unlabelled
from xgrl.tasks.formats import CARDS, inputs_version
from xgrl.tasks.sentences import passing, sentences
from xgrl.tasks.sources import codes
from xgrl.tasks.sources.packages import read_matching

if TYPE_CHECKING:
    from datasets import Dataset

LANGUAGES = codes(  # those with at least 900 sentences
    "en bg ca cs de el es et fi fr ga gl he hu id it ja ko lt nb nl pl pt pt-BR ru sk sr sr-Latn "
    "sv tr uk vi zh zh-TW"
)
SOURCES = unlabelled.SOURCES | {"packages": LANGUAGES}  # languages of the text, by source
FILED = {"zh": "zh-Hans", "zh-TW": "zh-Hant"}  # the package's own codes
MARKUP = re.compile(r"[{}<>\[\]`|_=\\*#%]|://|www\.")
CARD = unlabelled.CARD | CARDS["messages"]


def load_messages(languages: Sequence[str] = LANGUAGES) -> "Dataset":
    """Sentences of Home Assistant's messages, from 900 (uk) to 9,000 (cs) a language of LANGUAGES.

    Returns id, text, language, as `load_unlabelled` does; ids name language, component and message.
    ValueError: a language that does not exist, or none. SourceError: the package is unavailable.
    """
    from datasets import Dataset

    version, tables = inputs_version("homeassistant"), []
    for language in unlabelled.check_languages(languages, "packages", None, SOURCES):
        tables.append(cached_table(f"messages-{language}-{version}", partial(_table, language)))
    return Dataset(pa.concat_tables(tables))


def _table(language: str) -> pa.Table:
    """The sentences of one language that pass the filter and are none of the English ones."""
    lines = chain(_lines("en"), () if language == "en" else _lines(language))
    rows = [row for row in passing("message", lines) if row["language"] == language]
    return pa.Table.from_pylist(rows, unlabelled.SCHEMA)


def _lines(language: str) -> Iterator[tuple[str, str, str]]:
    """Language, name and text of each sentence of the messages of one language without markup."""
    pattern = f"homeassistant/components/*/translations/{FILED.get(language, language)}.json"
    for member, content in read_matching("homeassistant", pattern):
        for key, message in _messages(json.loads(content), member.split("/")[2]):
            if not MARKUP.search(message):
                for i, sentence in enumerate(sentences(message, language)):
                    yield language, f"{key}-{i}", sentence


def _messages(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Path and text of each leaf of nested dictionaries."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _messages(value, f"{path}/{key}")
        else:
            yield f"{path}/{key}", str(value)
