"""Which rows are wanted, and what the tables of the "hub" and "files" sources write for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from xgrl.tasks.rows import TYDI

# Tatoeba's codes of languages
TATOEBA = {
    "af": "afr", "ar": "ara", "az": "aze", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell",
    "es": "spa", "et": "est", "eu": "eus", "fa": "pes", "fi": "fin", "fr": "fra", "he": "heb",
    "hi": "hin", "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat",
    "kk": "kaz", "ko": "kor", "lt": "lit", "ml": "mal", "mr": "mar", "nl": "nld", "pl": "pol",
    "pt": "por", "ro": "ron", "ru": "rus", "sw": "swh", "ta": "tam", "te": "tel", "th": "tha",
    "tl": "tgl", "tr": "tur", "uk": "ukr", "ur": "urd", "vi": "vie", "zh": "cmn",
}  # fmt: skip
# what projects call a split, where that is not its name here
SPLITS = {
    "val": {"dev": "val"},
    "valid": {"dev": "valid"},
    "validation": {"dev": "validation"},
    "trn": {"train": "trn"},
    "2k": {"dev": "dev_2k", "test": "test_2k"},
}
NUMBERED = "{task}-{split}-{n}"  # the usual id of a row


@dataclass(frozen=True)
class Request:
    """Which rows are wanted; `upstream` names the upstream files with a test set's answers."""

    task: str
    language: str
    split: str
    upstream: Sequence[str] = ()

    def fill(self, text: str) -> str:
        """`text` with ``{task}``, ``{split}``, ``{l}`` (language), ``{iso3}`` (its code in
        Tatoeba), ``{tydi}`` (its name in TyDiQA) and the names of `SPLITS` put in.
        """
        codes = {name: calls.get(self.split, self.split) for name, calls in SPLITS.items()}
        codes |= {"task": self.task, "split": self.split, "l": self.language}
        codes |= {"iso3": TATOEBA.get(self.language, self.language)}
        codes |= {"tydi": TYDI.get(self.language, self.language)}
        for name, code in codes.items():
            text = text.replace(f"{{{name}}}", code)
        return text
