"""Exact match and F1 of answer texts: of the best of the gold answers, over normalised words as
bags.

Sources: Rajpurkar et al. 2016, arXiv 1606.05250 (SQuAD v1.1); Rajpurkar et al. 2018, arXiv
1806.03822 (unanswerable questions); Lewis et al. 2020, arXiv 1910.07475 (normalisation by
language); and their evaluation scripts.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

_ASCII = dict.fromkeys(map(ord, string.punctuation))
_HAN = re.compile("([\u4e00-\u9fa5])")
# Arabic: the two letters of the article, wherever they stand, as in the official script.
_ARTICLES = {
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "ar": "ال",
    "hi": "",
    "zh": "",
}
LANGUAGES = tuple(sorted(_ARTICLES))


@cache
def _punctuation() -> dict[int, None]:
    """ASCII's and Unicode's punctuation, for `str.translate`."""
    return _ASCII | {
        code: None
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code))[0] == "P"
    }


def squad_words(text: str) -> list[str]:
    """Words in lower case without ASCII punctuation and English articles, split at white space."""
    return re.sub(_ARTICLES["en"], " ", text.lower().translate(_ASCII)).split()


def mlqa_words(text: str, language: str) -> list[str]:
    """Words in lower case without any Unicode punctuation and the language's articles; in Chinese
    each character is one.
    """
    text = text.lower().translate(_punctuation())
    if _ARTICLES[language]:
        text = re.sub(_ARTICLES[language], " ", text)
    if language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return text.split()


def check_answers(predictions: Sequence, references: Sequence, unanswerable: bool) -> None:
    """Raise ValueError unless each prediction is a string; `unanswerable` says whether a question
    may have no answer.
    """
    for row, (found, answers) in enumerate(zip(predictions, references, strict=True)):
        if not isinstance(found, str):
            raise ValueError(f"prediction {row} is {found!r}: expected the answer's text")
        if not isinstance(answers, list | tuple | np.ndarray) or not all(
            isinstance(answer, str) for answer in answers
        ):
            raise ValueError(
                f"reference {row} is {answers!r}: expected a list of gold answers, all of them "
                f"strings"
            )
        if len(answers) == 0 and not unanswerable:
            raise ValueError(f"reference {row} has no gold answers: expected one at least")


def check_language(language: str | None) -> None:
    """Raise ValueError unless MLQA has the language."""
    if language not in LANGUAGES:
        raise ValueError(
            f"language={language!r}: answers are normalised by language, allowed: "
            f"{', '.join(LANGUAGES)}"
        )


def exact_and_f1(
    predictions: Sequence[str], references: Sequence[Sequence[str]], words: Callable
) -> np.ndarray:
    """(n, 2): exact match, 0 or 1, and word F1, 0 to 1, of each answer with the gold answer it fits
    best.

    A question whose gold answers are none, or only "", is unanswerable: a prediction without words
    scores 1, any other 0.
    """
    scores = np.zeros((len(references), 2))
    for row, (prediction, answers) in enumerate(zip(predictions, references, strict=True)):
        found = words(prediction)
        if all(answer == "" for answer in answers):
            scores[row] = not found
        else:
            golds = [words(answer) for answer in answers]
            scores[row] = (
                max(found == gold for gold in golds),
                max(_f1(found, gold) for gold in golds),
            )
    return scores


def _f1(found: list[str], gold: list[str]) -> float:
    common = (Counter(found) & Counter(gold)).total()
    return 2.0 * common / (len(found) + len(gold)) if common else 0.0
