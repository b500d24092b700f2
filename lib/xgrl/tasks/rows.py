"""One raw record in a data set's own field names -> one row of a canonical format
(`xgrl.tasks.formats`), and which rows are wanted; reads nothing.

Both the "hub" and the "files" loaders build their rows here, so that a task is the same task
whatever its source. Fields that differ between a project's own files and its hub copy are both
accepted. Labels and tags are given by name; a label that is withheld or unknown comes out as it is,
and `validate` drops and counts the row. A field that must be there and is not raises KeyError: the
caller knows the file and the line.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from xgrl.tasks.formats import Row
from xgrl.tasks.sentences import sentence_spans

Record = Mapping[str, Any]
# XTREME-R's wording, English in all languages
QUESTIONS = {"cause": "What was the cause?", "effect": "What was the effect?"}
TYDI = {  # what the ids of TyDiQA's questions begin with
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian",
    "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu",
}  # fmt: skip
TATOEBA = {  # its codes of languages
    "af": "afr", "ar": "ara", "az": "aze", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell",
    "es": "spa", "et": "est", "eu": "eus", "fa": "pes", "fi": "fin", "fr": "fra", "he": "heb",
    "hi": "hin", "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat",
    "kk": "kaz", "ko": "kor", "lt": "lit", "ml": "mal", "mr": "mar", "nl": "nld", "pl": "pol",
    "pt": "por", "ro": "ron", "ru": "rus", "sw": "swh", "ta": "tam", "te": "tel", "th": "tha",
    "tl": "tgl", "tr": "tur", "uk": "ukr", "ur": "urd", "vi": "vie", "zh": "cmn",
}  # fmt: skip
# what projects call a split, where that is not its name here
SPLITS = {name: {"dev": name} for name in ("val", "valid", "validation")}
SPLITS |= {"trn": {"train": "trn"}, "2k": {"dev": "dev_2k", "test": "test_2k"}}
NUMBERED = "{task}-{split}-{n}"  # the usual id of a row
_NLI_SPELLINGS = {"e": "entailment", "n": "neutral"}
_NLI_SPELLINGS |= dict.fromkeys(("c", "contradictory"), "contradiction")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z-]+)?:(?=.)")
_BRACES = re.compile(r"{(.*?)}")


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


def nli_row(record: Record, id: str) -> Row:
    """MNLI, SNLI, ANLI, XNLI: premise, hypothesis; "-" (no majority) is dropped, as unknown."""
    label = _first(record, "label", "gold_label")
    premise = _first(record, "premise", "sentence1", "context")
    hypothesis = _first(record, "hypothesis", "sentence2")
    label = _NLI_SPELLINGS.get(label, label)
    return {"id": id, "text": premise, "text_pair": hypothesis, "label": label}


def duplicate_row(record: Record, id: str) -> Row:
    """QQP (question1, question2), PAWS-X (sentence1, sentence2): 1 or "1" if both mean the same."""
    label = _first(record, "label", "is_duplicate")
    first, second = (_first(record, f"question{n}", f"sentence{n}") for n in (1, 2))
    label = int(label) if str(label).isdecimal() else label
    return {"id": id, "text": first, "text_pair": second, "label": label}


def xcopa_row(record: Record, id: str) -> Row:
    """COPA and XCOPA: the premise and an English question that asks for its cause or its effect."""
    prompt = f"{record['premise'].strip()} {QUESTIONS[record['question']]}"
    return _choice(id, prompt, [record["choice1"], record["choice2"]], record.get("label"))


def siqa_row(record: Record, id: str) -> Row:
    """Social IQa: `label` "1" to "3" (hub, ``.lst``), or `correct` "A" to "C" (version 1.4)."""
    letters = {"A": 0, "B": 1, "C": 2}
    known = "correct" in record
    label = letters.get(record["correct"], -1) if known else _whole(record["label"]) - 1
    choices = [record[f"answer{letter}"] for letter in letters]
    return _choice(id, _context_question(record), choices, label)


def hellaswag_row(record: Record, id: str) -> Row:
    """HellaSwag: context and four endings; test rows, whose label is "" or lacks, are dropped."""
    label = record.get("label")
    label = None if label in (None, "") else _whole(label)
    return _choice(id, record["ctx"], record["endings"], label)


def cosmosqa_row(record: Record, id: str) -> Row:
    """Cosmos QA: context, question, answer0 to answer3; test rows, labelled -1, are dropped."""
    choices = [record[f"answer{i}"] for i in range(4)]
    return _choice(id, _context_question(record), choices, _whole(record["label"]))


def commonsenseqa_row(record: Record, id: str) -> Row:
    """CommonsenseQA: the hub's columns, or jsonl, choices in `question`; test rows lack a key."""
    question, choices = record["question"], record.get("choices")
    if isinstance(question, Mapping):
        question, choices = question["stem"], question["choices"]
    if not isinstance(choices, Mapping):
        choices = {key: [choice[key] for choice in choices] for key in ("label", "text")}
    key, letters = record.get("answerKey"), list(choices["label"])
    label = letters.index(key) if key in letters else None
    return _choice(id, question, choices["text"], label)


def _choice(id: str, prompt: str, choices: Sequence[str | None], label: int | None) -> Row:
    """A row of multiple choice; ValueError where its prompt and choices are no texts."""
    listed = isinstance(choices, list | tuple)
    if not listed or not all(isinstance(text, str | None) for text in (prompt, *choices)):
        found = f"prompt={prompt!r:.40}, choices={choices!r:.80}"
        raise ValueError(f"{found}: expected a text and a list of texts")
    return {"id": id, "prompt": prompt, "choices": list(choices), "label": label}


def _whole(label: int | str) -> int:
    """A label that is a whole number, or a text that says one; ValueError for 1.5 or true."""
    if not re.fullmatch(r"\s*-?\d+\s*", str(label)):
        raise ValueError(f"label={label!r:.80}: expected a whole number")
    return int(label)


def span_row(record: Record) -> Row:
    """SQuAD and its kin, the hub's columns: id, question, context, answers{text, answer_start}."""
    answers = {key: list(record["answers"][key]) for key in ("text", "answer_start")}
    question = record["question"].strip()
    context, id = record["context"], record["id"]
    return {"id": id, "question": question, "context": context, "answers": answers}


def squad_rows(document: Record) -> Iterator[Row]:
    """Parsed JSON of SQuAD 1.1 or 2.0, XQuAD, MLQA, TyDiQA-GoldP; the unanswerable lack answers."""
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for record in paragraph["qas"]:
                answers = record["answers"]
                answers = {key: [one[key] for one in answers] for key in ("text", "answer_start")}
                yield span_row({**record, "context": paragraph["context"], "answers": answers})


def held_out(row: Row) -> bool:
    """Whether a training row of a span task belongs to dev where the data set has no dev of its
    own: one context in ten. It depends on the context alone, so that all questions on a passage
    fall on the same side, in every copy of the data.
    """
    return crc32(row["context"].encode()) % 10 == 0


def tagging_row(tokens: Sequence[str], tags: Sequence[str | int], id: str) -> Row:
    """UDPOS, PAN-X and CCG: the words of a sentence and a tag for each."""
    return {"id": id, "tokens": list(tokens), "tags": list(tags)}


def wikiann_row(tokens: Sequence[str], tags: Sequence[str | int], id: str) -> Row:
    """PAN-X from copies of WikiAnn of which some have "<language>:" before each word."""
    before = _LANGUAGE.match(tokens[0]) if tokens else None
    if before and all(token.startswith(before[0]) for token in tokens):
        tokens = [token.removeprefix(before[0]) for token in tokens]
    return tagging_row(tokens, tags, id)


def answer_pair(row: Row) -> Row:
    """A training pair of LAReQA from a row of SQuAD v1.1: the question, the sentence its first
    answer begins in, its paragraph; without one no candidate: `validate` drops it.
    """
    context, starts = row["context"], row["answers"]["answer_start"]
    sentence = sentence_of(sentence_spans(context, "en"), starts[0]) if starts else None
    candidate = context[slice(*sentence)] if sentence else ""
    return _pair(row["id"], row["question"], candidate, context)


def sentence_of(spans: Sequence[Sequence[int]], offset: int) -> tuple[int, int] | None:
    """The span that holds a character offset, or None between sentences."""
    return next(((start, end) for start, end in spans if start <= offset < end), None)


def mention_row(mention: Record, context: Record) -> Row:
    """A query of Mewsli-X, as XTREME-R words it; its gold candidate is the entity that is meant."""
    text = marked_mention(mention, context)
    return {"id": mention["example_id"], "text": text, "gold": [mention["entity_id"]]}


def marked_mention(mention: Record, context: Record) -> str:
    """``mention: left { mention } right`` within the mention's own sentence (the whole text where
    it crosses sentences); braces that the text has already become parentheses.
    """
    start, end = mention["mention_span"]["start"], mention["mention_span"]["end"]
    text = context["text"]
    spans = ((span["start"], span["end"]) for span in context["sentence_spans"])
    first, last = next(((a, b) for a, b in spans if a <= start and end <= b), (0, len(text)))
    left, right = (_BRACES.sub(r"(\1)", side) for side in (text[first:start], text[end:last]))
    return " ".join(f"{text[start:end]}: {left} {{ {text[start:end]} }} {right}".split())


def entity_row(entity: Record) -> Row:
    """A candidate of Mewsli-X: up to three sentences from the Wikipedia of one of 50 languages."""
    return {"id": entity["entity_id"], "text": " ".join(entity["description"].split()), "gold": []}


def mention_pair(record: Record) -> Row:
    """A training pair of Mewsli-X (``wikipedia_pairs``): a marked mention and what it means."""
    mention, context = (record["contextual_mention"][key] for key in ("mention", "context"))
    description = entity_row(record["entity"])["text"]
    return _pair(mention["example_id"], marked_mention(mention, context), description)


def _pair(id: str, text: str, candidate: str, candidate_pair: str = "") -> Row:
    """A training row of retrieval."""
    return {"id": id, "text": text, "candidate": candidate, "candidate_pair": candidate_pair}


def _context_question(record: Record) -> str:
    return f"{record['context'].strip()} {record['question'].strip()}"


def _first(record: Record, *names: str) -> Any:
    """The value of the first field that the record has."""
    if present := [name for name in names if name in record]:
        return record[present[0]]
    raise KeyError(" or ".join(names))
