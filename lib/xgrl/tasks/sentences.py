"""What counts as a sentence: how text is cut into sentences, and which serve as unlabelled text."""

import re
from collections.abc import Callable, Iterable, Iterator

import regex

from xgrl.tasks.leakage import LETTERS, normalise

SHORTEST, LONGEST = 20, 400  # characters
WITHOUT_STOPS = ("th",)  # scripts that end a sentence with a blank
# marks that end a sentence, and those that an abbreviation or a number may have
ALWAYS, PERHAPS = "。！？؟۔।॥။", ".!?"
SENTENCE = re.compile(rf"[^\W\d_].*[{PERHAPS}{ALWAYS}]")
CLAUSE = re.compile(r"[^\W\d_].*")
BLANK = re.compile(r"\s+")
LAST = regex.compile(rf"([_{LETTERS}][_{LETTERS}\p{{M}}]*|)[^_{LETTERS}]*$")  # word
CLOSED = rf"""(?:[{ALWAYS}]+[」』”’）)"']*|(?P<perhaps>[{PERHAPS}]+[”’»)\]"']*(?=\s|$)))\s*"""
MARK = re.compile(CLOSED)
PASSAGES = {  # where these are cut: marks, and abbreviations (initials, titles) that end nothing
    "en": (
        re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])"),
        re.compile(
            r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|No|vs|cf|ca|c|e\.g|i\.e|U\.S|[ap]\.m))\.\s+$"
        ),
    ),
    "hi": (
        re.compile(r"[।॥.?!|][\"'”’)\]]*\s+"),
        re.compile(
            r"(?:^|[\s(.])(?:डॉ|मि|ई|ए|बी|सी|डी|एफ|जी|एच|जे|के|एल|एम|एन|पी|आर|एस|टी|वी|[A-Za-z]{1,3})"
            r"\.[\"'”’)\]]*\s+$"
        ),
    ),
}


def sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of a passage that questions are asked on, without the blanks
    between them; `language` is a key of PASSAGES. XTREME-R splits SQuAD with its own rule-based
    splitter; this one knows full stops, initials and common abbreviations.
    """
    mark, abbreviation = PASSAGES[language]
    return list(_spans(text, mark, lambda sentence, _: not abbreviation.search(sentence)))


def sentences(text: str, language: str) -> Iterator[str]:
    """Cut one or more paragraphs into sentences; no sentence crosses a line end.

    A full stop after at most two letters or digits (an initial, an abbreviation, a date; in scripts
    with capitals) or before a small letter or a digit ends none. Thai, which has no full stops, is
    cut at blanks into pieces of at least SHORTEST characters.
    """
    mark, ends = MARK, _ends
    if language in WITHOUT_STOPS:
        mark, ends = BLANK, lambda piece, _: len(piece.rstrip()) >= SHORTEST
    for line in text.split("\n"):
        yield from (line[start:end] for start, end in _spans(line, mark, ends))


def _spans(
    text: str, mark: re.Pattern, ends: Callable[[str, re.Match], bool]
) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence: `mark` matches what may end one, and blanks behind it;
    ``ends(sentence with its mark, the match)`` says whether it does.
    """
    start = 0
    for match in (*mark.finditer(text), None):
        sentence = text[start : match.end() if match else len(text)]
        if sentence.strip() and (match is None or ends(sentence, match)):
            yield start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip())
            start += len(sentence)


def _ends(sentence: str, mark: re.Match) -> bool:
    """Whether a mark ends a sentence, given the word before and the first letter behind it."""
    if not mark["perhaps"]:
        return True
    word = LAST.search(sentence)[1]
    after = mark.string[mark.end() : mark.end() + 1]
    caseless = word.lower() == word.upper() and not word.isdigit()
    small = after.islower() and not "ა" <= after <= "ჿ"  # Georgian has small letters only
    return (len(word) > 2 or caseless) and not small and not after.isdigit()


def passing(name: str, lines: Iterable[tuple[str, str, str]]) -> Iterator[dict[str, str]]:
    """The sentences that pass the filter, each once: id ("<name>-<language>-<number>"), text,
    language; `lines` are (language, number or name of the sentence in the corpus, sentence).

    They have SHORTEST to LONGEST characters, a letter first, and a full stop, question or
    exclamation mark last (Thai: any character).
    """
    seen: set[str] = set()
    for language, number, raw in lines:
        text, form = " ".join(raw.split()), CLAUSE if language in WITHOUT_STOPS else SENTENCE
        fits = SHORTEST <= len(text) <= LONGEST and form.fullmatch(text)
        if fits and (key := normalise(raw)) not in seen:
            seen.add(key)
            yield {"id": f"{name}-{language}-{number}", "text": text, "language": language}
