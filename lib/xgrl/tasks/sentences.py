"""What counts as a sentence: how running text is cut into sentences, and which of them serve as
unlabelled text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from xgrl.tasks.leakage import normalise

SHORTEST, LONGEST = 20, 400  # characters
WITHOUT_STOPS = ("th",)  # scripts that end a sentence with a blank
# marks that end a sentence, and those that an abbreviation or a number may have
ALWAYS, PERHAPS = "。！？؟۔।॥။", ".!?"
SENTENCE = re.compile(rf"[^\W\d_].*[{PERHAPS}{ALWAYS}]")
CLAUSE = re.compile(r"[^\W\d_].*")
MARK = re.compile(
    rf"""(?:[{ALWAYS}]+[」』”’）)"']*|(?P<perhaps>[{PERHAPS}]+[”’»)\]"']*(?=\s|$)))\s*"""
)


def sentences(text: str, language: str) -> Iterator[str]:
    """Cut running text into sentences; no sentence crosses a line end.

    A full stop after at most two letters or digits (an initial, an abbreviation, a date; in scripts
    with capitals) or before a small letter or a digit ends none. Thai, which has no full stops, is
    cut at blanks into pieces of at least SHORTEST characters.

    Args:
        text: one or more paragraphs.
        language: its code.
    """
    for line in text.split("\n"):
        start = 0
        for found in (
            re.finditer(r"\s+", line) if language in WITHOUT_STOPS else MARK.finditer(line)
        ):
            if language in WITHOUT_STOPS:
                ends = found.start() - start >= SHORTEST
            else:
                ends = not found["perhaps"] or _ends(
                    line[start : found.start()], line[found.end() : found.end() + 1]
                )
            if ends:
                yield line[start : found.end()].strip()
                start = found.end()
        if rest := line[start:].strip():
            yield rest


def _ends(before: str, after: str) -> bool:
    """Whether a full stop ends a sentence, given what stands before it and the first letter after
    it.
    """
    word = re.search(r"(\w*)\W*$", before)[1]
    caseless = word.lower() == word.upper() and not word.isdigit()
    small = after.islower() and not "ა" <= after <= "ჿ"  # Georgian has small letters only
    return (len(word) > 2 or caseless) and not small and not after.isdigit()


def passing(name: str, lines: Iterable[tuple[str, str, str]]) -> Iterator[dict[str, str]]:
    """The sentences that pass the filter, each once: id, text, language.

    They have SHORTEST to LONGEST characters, a letter first, and a full stop, question or
    exclamation mark last (Thai: any character).

    Args:
        name: of the corpus; ids are "<name>-<language>-<place>".
        lines: (language, place in the corpus, sentence).
    """
    seen: set[str] = set()
    for language, place, raw in lines:
        text, form = " ".join(raw.split()), CLAUSE if language in WITHOUT_STOPS else SENTENCE
        if (
            SHORTEST <= len(text) <= LONGEST
            and form.fullmatch(text)
            and (key := normalise(raw)) not in seen
        ):
            seen.add(key)
            yield {"id": f"{name}-{language}-{place}", "text": text, "language": language}
