"""Extractive question answering from files in SQuAD's JSON form.

=======  ========================================================================================
squad    ``{train,dev}-v1.1.json``, also train and dev of XQuAD and MLQA
squad2   ``{train,dev}-v2.0.json``
xquad    ``xquad.<l>.json``
mlqa     ``MLQA_V1/test/test-context-<l>-question-<l>.json``
tydiqa   ``tydiqa-goldp-v1.1-train.json`` and
         ``tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-<language's name>.json``, or
         ``tydiqa-goldp-v1.1-dev.json`` with all languages; under XTREME's names
         ``tydiqa.goldp.<l>.{train,dev}.json``
=======  ========================================================================================

XTREME's script takes the answers out of the three test sets, under the same names for two of them.
Such a file is refused; the upstream file has the answers. It also cuts the ids of TyDiQA's training
questions down to numbers that many share, so upstream's training file, which it leaves beside them,
is read first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xgrl.tasks.formats import Row
from xgrl.tasks.rows import TYDI, held_out, squad_rows
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import find, read_json, withheld


def squad(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """SQuAD v1.1; dev is its development set, from whose paragraphs XQuAD was translated."""
    return read_spans(find(path, ("squad",), [f"{split}-v1.1.json"]))


def squad2(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """SQuAD v2.0; a third of the questions have no answer."""
    file = find(path, ("squad2", "squad"), [f"{split}-v2.0.json"])
    return read_spans(file, unanswerable=True)


def xquad(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """XQuAD in any language whose file is there, trained on SQuAD v1.1; ids are the same in every
    language.
    """
    if split != "test":
        return squad(language, split, path)
    name = f"xquad.{language}.json"
    return read_spans(find(path, ("xquad",), [name]), [name])


def mlqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """MLQA with question and context in one language, trained on SQuAD v1.1; a question keeps its
    id in every language.
    """
    if split != "test":
        return squad(language, split, path)
    name = f"test-context-{language}-question-{language}.json"
    return read_spans(find(path, ("mlqa",), [name, f"MLQA_V1/test/{name}", f"test/{name}"]), [name])


def tydiqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """TyDiQA-GoldP; the test set is its development set, dev a tenth of the English training
    questions (`held_out`).
    """
    part, name = "dev" if split == "test" else "train", TYDI.get(language, language)
    folder, every = f"tydiqa-goldp-v1.1-{part}/", f"tydiqa-goldp-v1.1-{part}.json"
    named, renamed = f"tydiqa-goldp-dev-{name}.json", f"tydiqa.goldp.{language}.{part}.json"
    own = [folder + named, named] if split == "test" else []
    names = [every, folder + every, *own, folder + renamed, renamed]
    file = find(path, ("tydiqa",), names)
    there = False
    for number, row in enumerate(read_spans(file, [named, every] if split == "test" else ())):
        if file.name == every and row["id"].partition("-")[0] != name:
            continue
        there = True
        if split == "train" and file.name == renamed:
            row["id"] = f"{name}-{number}"
        if split == "test" or held_out(row) == (split == "dev"):
            yield row
    if not there:
        raise SourceError(f"{file}: expected questions whose id begins with {name!r}, found none")


def read_spans(
    file: Path, upstream: Sequence[str] = (), unanswerable: bool = False
) -> Iterator[Row]:
    """The rows of a file in SQuAD's form.

    Args:
        file: SQuAD's JSON.
        upstream: names of the files that have the answers, if XTREME's script takes them out of
            this one.
        unanswerable: questions without an answer are legal.

    Raises:
        SourceError: not SQuAD's form, or a question whose answer is empty or lacks.
    """
    document = read_json(file)
    try:
        for number, row in enumerate(squad_rows(document), 1):
            texts = row["answers"]["text"]
            if not all(texts) or not (texts or unanswerable):
                hint = f"; {withheld(upstream)}" if upstream else ""
                raise SourceError(
                    f"{file}, question {number} ({row['id']}): expected an answer, found "
                    f"{texts}{hint}"
                )
            yield row
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{file}: expected SQuAD's form, data > paragraphs > qas with id, question and "
            f"answers{{text, answer_start}}; found something else ({type(error).__name__}: {error})"
        ) from error
