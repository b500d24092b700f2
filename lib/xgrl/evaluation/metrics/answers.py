"""Exact match and F1 of answer texts, in percent: `squad` (SQuAD, XQuAD, TyDiQA-GoldP) and `mlqa`.

``evaluate.load("lib/xgrl/evaluation/metrics/answers.py", "squad")``, or ``"mlqa"``, whose `compute`
takes the language. Each counts with the gold answer it fits best, over normalised words as bags.

`squad`: English articles and ASCII punctuation are taken out, and words are split at white space,
whatever the language: that is how XTREME scores XQuAD and TyDiQA, and it understates languages
written without blanks. For unanswerable questions (SQuAD v2.0) the gold answers are [] or [""] and
the right prediction is "". The common `squad` metric of the `evaluate` library is the same for
answerable questions and cannot score the others.

`mlqa`: articles are those of the language (none in Hindi and Chinese; in Arabic the article's two
letters go wherever they stand, as in the official script), punctuation is all of Unicode's, and
Chinese is split into characters.

Sources: Rajpurkar et al. 2016, arXiv 1606.05250 (SQuAD v1.1); Rajpurkar et al. 2018, arXiv
1806.03822 (unanswerable questions); Lewis et al. 2020, arXiv 1910.07475 (MLQA); Hu et al. 2020,
arXiv 2003.11080; and their evaluation scripts.
"""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import evaluate
import numpy as np

from .official import STRING, STRINGS, Official, validate_number

_ASCII = dict.fromkeys(map(ord, string.punctuation))
_HAN = re.compile("([\u4e00-\u9fa5])")
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
    codes = range(sys.maxunicode + 1)
    return _ASCII | {c: None for c in codes if unicodedata.category(chr(c))[0] == "P"}


def squad_words(text: str, language: str | None = None) -> list[str]:
    """Words in lower case without ASCII punctuation and English articles, split at white space."""
    return re.sub(_ARTICLES["en"], " ", text.lower().translate(_ASCII)).split()


def mlqa_words(text: str, language: str) -> list[str]:
    """Words in lower case without Unicode punctuation and articles; in Chinese, characters."""
    text = text.lower().translate(_punctuation())
    if language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return (re.sub(_ARTICLES[language], " ", text) if _ARTICLES[language] else text).split()


def exact_and_f1(words: list[str], gold: list[str]) -> tuple[float, float]:
    """Exact match, 0 or 1, and F1, 0 to 1, of an answer's words with those of one gold answer."""
    common = (Counter(words) & Counter(gold)).total()
    return float(words == gold), 2.0 * common / (len(words) + len(gold)) if common else 0.0


class Answers(Official, evaluate.Metric):
    """Means over questions of exact match and word F1, each with the best of the gold answers.

    predictions: n texts. references: n lists of gold texts. language: of the answers (mlqa).
    Returns exact_match and f1, 0 to 100.
    """

    FEATURES = ((STRING, STRINGS),)
    NAMES: ClassVar = {"squad": squad_words, "mlqa": mlqa_words}

    @property
    def needs_language(self) -> bool:
        """Whether `compute` and `each` take the examples' language."""
        return self.config_name == "mlqa"

    def compute(self, *, language: str | None = None, **inputs) -> dict[str, float]:
        """Exact match and F1; ValueError, before anything is added, for an unknown language."""
        self._validate_language(language)
        return super().compute(language=language, **inputs)

    def _validate_language(self, language: str | None) -> None:
        if self.needs_language and language not in LANGUAGES:
            allowed = f"allowed: {', '.join(LANGUAGES)}"
            raise ValueError(f"language={language!r}: answers are normalised by it, {allowed}")

    def validate(self, predictions: Sequence, references: Sequence) -> None:
        """ValueError for unequal numbers, no questions, a prediction that is no string, gold
        answers that are no list of strings, or in MLQA a question without any.
        """
        validate_number(predictions, references)
        for row, (text, golds) in enumerate(zip(predictions, references, strict=True)):
            if not isinstance(text, str):
                raise ValueError(f"prediction {row} is {text!r}: expected the answer's text")
            several = isinstance(golds, list | tuple | np.ndarray)
            if not several or not all(isinstance(gold, str) for gold in golds):
                expected = "expected a list of gold answers, all strings"
                raise ValueError(f"reference {row} is {golds!r}: {expected}")
            if len(golds) == 0 and self.config_name == "mlqa":
                raise ValueError(f"reference {row} has no gold answers: expected one at least")

    def pairs(self, predictions: Sequence, references: Sequence, language) -> np.ndarray:
        """(n, 2): exact match, 0 or 1, and word F1, 0 to 1, of each answer with the gold answer it
        fits best.

        Without gold answers, or with "" only, it is unanswerable: no words score 1, any others 0.
        """
        split, scores = self.NAMES[self.config_name], np.zeros((len(references), 2))
        for row, (text, golds) in enumerate(zip(predictions, references, strict=True)):
            words = split(text, language)
            if all(gold == "" for gold in golds):
                scores[row] = not words
            else:
                each = [exact_and_f1(words, split(gold, language)) for gold in golds]
                scores[row] = np.max(each, axis=0)
        return scores

    def each(self, predictions: Sequence, references: Sequence, language=None) -> np.ndarray:
        """(n, 1): the mean of exact match and F1 in percent."""
        self._validate_language(language)
        return 100.0 * self.pairs(predictions, references, language).mean(1, keepdims=True)

    def _compute(self, predictions: Sequence, references: Sequence, language) -> dict[str, float]:
        exact, f1 = 100.0 * self.pairs(predictions, references, language).mean(0)
        return {"exact_match": float(exact), "f1": float(f1)}
