"""A study's predictions as an XTREME or XTREME-R submission, in the form that the benchmark's own
script reads.

    python -m xgrl.evaluation.submission outputs/<study> FOLDER --intermediate sarcasm --arm dann --seed 0

writes ``FOLDER/predictions/<task>/test-<language>.<suffix>`` for every task of the benchmark that
the study has predicted:

==========================  ======  ==============================================================
xnli, pawsx                 tsv     a class a line
panx, udpos                 tsv     a tag a line, an empty line between sentences
tatoeba                     tsv     number of the foreign line found, one line an English sentence
bucc2018                    tsv     source id, tab, target id of each mined pair
xquad, mlqa, tydiqa         json    question id -> answer
mewslix                     json    mention id -> entity ids, best first
xcopa                       jsonl   {"label": 0 or 1} a line
==========================  ======  ==============================================================

LAReQA is left out: the script reads no file for it. Source: Hu et al. 2020, arXiv 2003.11080; Ruder
et al. 2021, arXiv 2104.07412; their repository's README, scripts and mock submission.

Lines have no ids, so they are all of the task's test examples, in the order of the source that the
study was prepared from, which is read again; Tatoeba's English sentences are sorted by their text,
as in the benchmark's files. The source must hold what the benchmark tests on: its script prepares
UDPOS with multi-word tokens, which treebanks in CoNLL-U split, so that a submission from the latter
does not fit its labels.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xgrl.prepare.select_rows import load_rows
from xgrl.runs.records import read, replace_folder, run_folder
from xgrl.tasks import TASKS
from xgrl.tasks.sources import SourceError

NUMBERED = re.compile(r"(.*?)(\d+)")
FROM_ENGLISH = " en-xx"  # the direction of a retrieval, at the end of an example id


def write_submission(
    study: str | Path, folder: str | Path, *, intermediate: str, arm: str, seed: int
) -> dict[str, dict[str, int]]:
    """Write one arm's and seed's predictions as a submission.

    Args:
        study: the study's folder, ``outputs/<study>``.
        folder: where ``predictions/`` is made; it must not be there yet.
        intermediate, arm, seed: which checkpoint; arm "none" has no intermediate task.

    Returns:
        task -> language -> number of examples written.

    Raises:
        ValueError: nothing to write, an unfinished run, examples that are missing, or predictions
            that do not fit the task.
        SourceError: the test examples cannot be read.
    """
    study, target = Path(study).resolve(), Path(folder) / "predictions"
    if target.exists():
        raise ValueError(f"{target}: already there; give another folder or remove it")
    runs = {
        task: run_folder(
            study.parent,
            study.name,
            "target",
            intermediate=intermediate,
            arm=arm,
            seed=seed,
            target=task,
        )
        for task in FORMS
    }
    runs = {task: run for task, run in runs.items() if run.exists()}
    if not runs:
        found = sorted(path.name for path in (study / "target").glob("*"))
        raise ValueError(
            f"{study} has no predictions of intermediate={intermediate!r}, arm={arm!r}, "
            f"seed={seed} on a task of the benchmark "
            f"({', '.join(FORMS)}); its targets: {', '.join(found) or 'none'}"
        )
    prepared = read(run_folder(study.parent, study.name, "prepare"))["parameters"]
    written = {task: _read(run, task, prepared) for task, run in runs.items()}

    def fill(root: Path) -> None:
        for task, languages in written.items():
            (root / task).mkdir()
            for language, (_, text) in languages.items():
                (root / task / f"test-{language}.{FORMS[task][0]}").write_text(
                    text, encoding="utf-8", newline="\n"
                )

    replace_folder(target, fill)
    return {
        task: {language: count for language, (count, _) in languages.items()}
        for task, languages in written.items()
    }


def _read(run: Path, task: str, prepared: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """language -> number of examples and the file's text; errors name the run."""
    if (status := read(run)["status"]) != "finished":
        raise ValueError(f"{run}: the run is {status}, there is nothing to submit")
    if not (run / "predictions.parquet").exists():
        raise ValueError(f"{run}: no predictions.parquet")
    texts = {}
    for language, rows in pd.read_parquet(run / "predictions.parquet").groupby(
        "language", sort=False
    ):
        try:
            found = _in_order(rows, task, str(language), prepared)
            texts[str(language)] = len(found), FORMS[task][1](task, [*found], [*found.values()])
        except ValueError as error:
            raise ValueError(f"{run}, {language}: {error}") from None
    return texts


def _in_order(
    rows: pd.DataFrame, task: str, language: str, prepared: Mapping[str, Any]
) -> dict[str, str]:
    """Example id -> prediction of all test examples of a language, in the benchmark's order."""
    # its queries are the English sentences, in our tables the candidates
    english = task == "tatoeba"
    split = "candidates" if english else "queries" if TASKS[task].format == "retrieval" else "test"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        examples = load_rows(TASKS[task], language, split, prepared)
    left_out = [str(warning.message) for warning in caught if "left out" in str(warning.message)]
    if left_out and FORMS[task][0] != "json" and task != "bucc2018":
        raise ValueError(f"{left_out[0]}; the benchmark has a line for each of them")
    ids = list(examples["id"])
    if english:
        texts = dict(zip(ids, examples["text"], strict=True))
        ids.sort(key=texts.__getitem__)
        rows = rows[rows["example_id"].str.endswith(FROM_ENGLISH)]
    found = dict(
        zip(rows["example_id"].str.removesuffix(FROM_ENGLISH), rows["prediction"], strict=True)
    )
    if missing := [example for example in ids if example not in found]:
        raise ValueError(
            f"{len(missing)} of {len(ids)} test examples have no prediction, the first is "
            f"{missing[0]!r}; a submission needs "
            "them all: prepare the study with a larger test_rows or retrieval_rows"
        )
    if len(found) > len(ids):
        extra = next(example for example in found if example not in set(ids))
        raise ValueError(
            f"example {extra!r} is not among the {len(ids)} test examples that "
            f"{prepared['sources']} have"
        )
    if TASKS[task].format == "tagging":
        for example, words in zip(ids, examples["tokens"], strict=True):
            if len(found[example].split()) != len(words):
                raise ValueError(
                    f"sentence {example} has {len(found[example].split())} tags for {len(words)} "
                    f"words"
                )
    return {example: found[example] for example in ids}


def _classes(task: str, ids: list[str], predictions: list[str]) -> str:
    return _lines(
        [_class(task, example, found) for example, found in zip(ids, predictions, strict=True)]
    )


def _class(task: str, example: str, found: str) -> str:
    """The class as the benchmark names it; our tables may have another name for the same place."""
    official = ("entailment", "neutral", "contradiction") if task == "xnli" else ("0", "1")
    ours = TASKS[task].labels or official
    if found not in ours and found not in official:
        raise ValueError(
            f"example {example} has the class {found!r}, expected one of {', '.join(ours)}"
        )
    return found if found in official else official[ours.index(found)]


def _tags(task: str, ids: list[str], predictions: list[str]) -> str:
    return "\n".join(_lines(tags.split()) for tags in predictions)


def _answers(task: str, ids: list[str], predictions: list[str]) -> str:
    return json.dumps(dict(zip(ids, predictions, strict=True)), indent=2) + "\n"


def _ranked(task: str, ids: list[str], predictions: list[str]) -> str:
    return json.dumps(
        {example: ranked.split() for example, ranked in zip(ids, predictions, strict=True)}
    )


def _numbers(task: str, ids: list[str], predictions: list[str]) -> str:
    """Line numbers from 0, which are what our ids of Tatoeba sentences end in."""
    for example, found in zip(ids, predictions, strict=True):
        if not NUMBERED.fullmatch(found):
            raise ValueError(
                f"sentence {example} found {found!r}, expected an id that ends in a line number"
            )
    return _lines([str(int(NUMBERED.fullmatch(found)[2])) for found in predictions])


def _pairs(task: str, ids: list[str], predictions: list[str]) -> str:
    return _lines(
        [f"{source}\t{found}" for source, found in zip(ids, predictions, strict=True) if found]
    )


def _choices(task: str, ids: list[str], predictions: list[str]) -> str:
    return _lines(
        [json.dumps({"label": int(line)}) for line in _classes(task, ids, predictions).split()]
    )


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


FORMS: dict[str, tuple[str, Callable[[str, list[str], list[str]], str]]] = {
    "xnli": ("tsv", _classes),
    "pawsx": ("tsv", _classes),
    "xcopa": ("jsonl", _choices),
    "udpos": ("tsv", _tags),
    "panx": ("tsv", _tags),
    "xquad": ("json", _answers),
    "mlqa": ("json", _answers),
    "tydiqa": ("json", _answers),
    "tatoeba": ("tsv", _numbers),
    "bucc2018": ("tsv", _pairs),
    "mewslix": ("json", _ranked),
}


def main(arguments: list[str] | None = None) -> int:
    """Command line: 0 written, 2 refused."""
    parser = argparse.ArgumentParser(
        prog="python -m xgrl.evaluation.submission", description=__doc__.split("\n")[0]
    )
    parser.add_argument("study", type=Path, help="outputs/<study>")
    parser.add_argument("folder", type=Path, help="where predictions/ is written")
    parser.add_argument("--intermediate", default="", help="intermediate task; none for arm none")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--seed", type=int, default=0)
    values = parser.parse_args(arguments)
    try:
        written = write_submission(**vars(values))
    except (ValueError, SourceError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    for task, languages in written.items():
        print(
            f"{task}: " + ", ".join(f"{language} {count}" for language, count in languages.items())
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
