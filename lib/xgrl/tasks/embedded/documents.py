"""Two targets made from native Wikipedia articles (BIG-bench paragraph_segmentation): paragraph
ends, and what comes next.

The file holds 1,000 articles of each of nine languages, one sentence a line, and says of each
sentence whether it ends a paragraph. The same articles are the discriminator's unlabelled text, so
the articles of these targets have numbers of their own, `is_reserved`:
`xgrl.tasks.unlabelled.load_unlabelled` leaves them out when it is told to.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np

from xgrl.tasks.embedded.english import examples, shuffled
from xgrl.tasks.formats import Row
from xgrl.tasks.leakage import distinct, normalise
from xgrl.tasks.sentences import LONGEST, SENTENCE, SHORTEST

Random = np.random.Generator
MADE = ("boundary", "next-sentence")
LANGUAGES = ("en", "de", "es", "fr", "it", "nl", "pl", "pt", "ru")
PARAGRAPHS = ("goes on", "new paragraph")
FILED = tuple(sorted(LANGUAGES))  # their order in the file
ARTICLES = 1000
# Last digits of an article's number; foreign articles are for testing only.
DIGITS = {"test": (0, 1), "dev": (2,), "train": (3, 4, 5)}
PER_ARTICLE = 12  # rows at most
CHOICES = 4


def is_reserved(language: str, article: int) -> bool:
    """Whether an article (0 .. ARTICLES - 1 of its language) belongs to these targets."""
    splits = DIGITS if language == "en" else ("test",)
    return any(article % 10 in DIGITS[split] for split in splits)


def load(task: str, language: str, split: str, path: Path | None) -> list[Row]:
    """Rows of "boundary": does a paragraph end between two sentences? Of both kinds equally many an
    article. Rows of "next-sentence": a sentence, its follower, and three others of the article.
    """
    return [row for article, row in _rows(task, language) if article % 10 in DIGITS[split]]


@cache
def _rows(task: str, language: str) -> list[tuple[int, Row]]:
    """Article number and row, shuffled; one of those whose first sentences are nearly the same."""
    first = FILED.index(language) * ARTICLES
    make = _boundaries if task == "boundary" else _successors
    rows = []
    for article, example in enumerate(examples("paragraph_segmentation")[first : first + ARTICLES]):
        if is_reserved(language, article):
            lines = [" ".join(line.split()) for line in example["input"].split("\n")]
            random = np.random.default_rng(crc32(f"{task} {language} {article}".encode()))
            for i, row in make(lines, example["target"].split(), random):
                rows.append((article, {"id": f"{task}-{language}-{article}-{i}"} | row))
    kept = distinct([row["text"] if "text" in row else row["prompt"] for _, row in rows])
    return shuffled([rows[i] for i in kept], seed=len(rows))


def _is_whole(line: str) -> bool:
    """Whether a line is a sentence: the rule for the unlabelled text."""
    return SHORTEST <= len(line) <= LONGEST and SENTENCE.fullmatch(line) is not None


def _boundaries(lines: list[str], ends: list[str], random: Random) -> Iterator[tuple[int, Row]]:
    adjacent = [i for i in range(len(ends) - 1) if _is_whole(lines[i]) and _is_whole(lines[i + 1])]
    split = ([i for i in adjacent if (ends[i] == "1") == label] for label in (False, True))
    kinds = [random.permutation(kind).tolist() for kind in split]
    most = min(PER_ARTICLE // 2, *map(len, kinds))
    for label, positions in enumerate(kinds):
        for i in positions[:most]:
            yield i, {"text": lines[i], "text_pair": lines[i + 1], "label": label}


def _successors(lines: list[str], ends: list[str], random: Random) -> Iterator[tuple[int, Row]]:
    # a repeated one once
    whole = {normalise(line): i for i, line in enumerate(lines[: len(ends)]) if _is_whole(line)}
    positions = sorted(whole.values())
    followed = random.permutation([i for i in positions if i + 1 in whole.values()])
    for i in followed[:PER_ARTICLE].tolist():
        others = [j for j in positions if j not in (i, i + 1)]
        if len(others) >= CHOICES - 1:
            chosen = random.choice(others, size=CHOICES - 1, replace=False).tolist()
            label = int(random.integers(CHOICES))
            chosen.insert(label, i + 1)
            yield i, {"prompt": lines[i], "choices": [lines[j] for j in chosen], "label": label}
