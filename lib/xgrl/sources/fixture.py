"""Synthetic data in the canonical formats, generated in code: what the smoke study and the tests run on, offline.

A pseudo-language is a table from concepts to word forms. Of every foreign language's forms about 40 % are cognates,
identical to the English form, the rest are its own. A label is decided by indicator concepts, so a bag of embeddings
learns the task in English, and zero-shot accuracy lies above chance (through the cognates) and below English.
Everything follows from CRC-32 of names: the same call gives the same rows on every machine and in every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from zlib import crc32

import numpy as np

CONCEPTS = 240
COGNATES = 0.4
SIZES = {"train": 400, "dev": 100, "test": 60, "queries": 60, "candidates": 60}
UNLABELLED = 200
LANGUAGES = (
    "en", "af", "ar", "bg", "bn", "ca", "cs", "da", "de", "de-CH", "el", "es", "et", "eu", "fa", "fi", "fr", "ga",
    "gl", "he", "hi", "hr", "hu", "id", "it", "ja", "jv", "ka", "kk", "ko", "lb", "ml", "mr", "nb", "ne", "nl",
    "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sr", "sr-Latn", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk",
    "ur", "vi", "zh", "zh-HK", "zh-TW",
)  # fmt: skip
SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")


@cache
def word(concept: int, language: str) -> str:
    """The word form of one concept in one pseudo-language.

    Args:
        concept: 0 .. CONCEPTS - 1.
        language: a language code; "en" is the language the others share cognates with.
    """
    if language != "en" and crc32(f"cognate {concept} {language}".encode()) < COGNATES * 2**32:
        language = "en"
    key = crc32(f"form {concept} {language}".encode())
    digits = (key, key // 70, key // 70**2, key // 70**3)
    return "".join(SYLLABLES[digit % len(SYLLABLES)] for digit in digits)


def fixture_vocabulary(languages: Sequence[str] = LANGUAGES) -> list[str]:
    """Every word form of the given pseudo-languages, sorted, each once: the vocabulary of the "tiny" encoder's tokenizer."""
    return sorted({word(concept, language) for language in languages for concept in range(CONCEPTS)})


def fixture_rows(name: str, format: str, language: str, split: str, labels: Sequence[str] = (), *,
                 parallel: bool = True, pairs: bool = False) -> list[dict[str, object]]:  # fmt: skip
    """The rows of one synthetic task, language and split, in the canonical format.

    Args:
        name: the task's name; it decides which concepts indicate which label.
        format: "classification" or "retrieval".
        language: a language code; retrieval candidates are English whatever it says.
        split: train, dev, test; for retrieval queries, candidates.
        labels: names of the classes (classification), at most CONCEPTS // 2.
        parallel: rows of different languages are translations of each other and share ids.
        pairs: classification of text pairs: the same words, split over ``text`` and ``text_pair``.

    Returns:
        classification: id, text, text_pair, label (index into `labels`); retrieval: id, text.
    """
    if format not in ("classification", "retrieval"):
        raise ValueError(f"format={format!r}: the fixture makes classification and retrieval rows")
    drawn = "items" if format == "retrieval" else split
    space = f"{name} {drawn}" if parallel else f"{name} {drawn} {language}"
    prefix = f"{name}-{drawn}" if parallel else f"{name}-{language}-{drawn}"
    if split == "candidates":
        language = "en"
    concepts = np.random.default_rng(crc32(name.encode())).permutation(CONCEPTS)
    random = np.random.default_rng(crc32(space.encode()))
    rows: list[dict[str, object]] = []
    for i in range(SIZES[split]):
        if format == "retrieval":
            text = " ".join(word(int(c), language) for c in random.choice(CONCEPTS, size=6, replace=False))
            rows.append({"id": f"{prefix}-{i}", "text": text})
            continue
        label = i % len(labels)
        chosen = random.permutation(np.concatenate(_draw(random, concepts, label, len(labels))))
        words = [word(int(c), language) for c in chosen]
        cut = len(words) // 2 if pairs else len(words)
        rows.append({"id": f"{prefix}-{i}", "text": " ".join(words[:cut]), "text_pair": " ".join(words[cut:]), "label": label})
    return [rows[i] for i in random.permutation(len(rows))]


def _draw(
    random: np.random.Generator, concepts: np.ndarray, label: int, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Concepts of one text: three that indicate its label, one that indicates any label, four to seven fillers."""
    width = min(6, CONCEPTS // 2 // classes)
    indicators, fillers = concepts[: width * classes].reshape(classes, width), concepts[width * classes :]
    return (
        random.choice(indicators[label], size=3),
        random.choice(indicators.ravel(), size=1),
        random.choice(fillers, size=int(random.integers(4, 8))),
    )


def fixture_unlabelled(language: str) -> list[dict[str, str]]:
    """UNLABELLED synthetic sentences of one pseudo-language: id, text, language. Not parallel to anything."""
    random = np.random.default_rng(crc32(f"unlabelled {language}".encode()))
    return [
        {
            "id": f"unlabelled-{language}-{i}",
            "text": " ".join(word(int(c), language) for c in random.integers(CONCEPTS, size=int(random.integers(6, 15)))),
            "language": language,
        }
        for i in range(UNLABELLED)
    ]
