"""A study's predictions as an XTREME or XTREME-R submission, which the benchmark's script reads.

    python -m xgrl.evaluation.submission outputs/<study> FOLDER --intermediate qa --arm dann

writes ``FOLDER/predictions/<task>/test-<language>.<suffix>`` of seed 0 (or ``--seed``) for every
task of the benchmark that the study has predicted:

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
study was prepared from, which is read again, and with it the words of answers; Tatoeba's English
sentences are sorted by their text, as in the benchmark's files. The source must hold what the
benchmark tests on: its script prepares UDPOS with multi-word tokens, which treebanks in CoNLL-U
split, so that a submission from the latter does not fit its labels.
"""

import argparse
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from xgrl.evaluation.spans import text_at
from xgrl.prepare.select_rows import load_rows
from xgrl.runs.records import read, replace_folder, run_folder, verify_hashes
from xgrl.tasks import TASKS
from xgrl.tasks.sources import SourceError

NUMBERED = re.compile(r"(.*?)(\d+)")
FROM_ENGLISH = " en-xx"  # the direction of a retrieval, at the end of an example id


def write_submission(
    study: str | Path, folder: str | Path, *, intermediate: str, arm: str, seed: int
) -> dict[str, dict[str, int]]:
    """Write one arm's and seed's predictions as a submission.

    study: the study's folder, ``outputs/<study>``. folder: where ``predictions/`` is made; it must
    not be there yet. intermediate, arm, seed: which checkpoint; arm "none" has no intermediate
    task. Returns task -> language -> number of examples written. Raises ValueError for nothing to
    write, an unfinished run, examples that are missing, or predictions that do not fit the task;
    SourceError where the test examples cannot be read.
    """
    study, predictions = Path(study).resolve(), Path(folder) / "predictions"
    if predictions.exists():
        raise ValueError(f"{predictions}: already there; give another folder or remove it")
    run_of = partial(run_folder, study.parent, study.name)
    checkpoint = {"intermediate": intermediate, "arm": arm, "seed": seed}
    runs = {task: run_of("target", target=task, **checkpoint) for task in FORMS}
    runs = {task: run for task, run in runs.items() if run.exists()}
    if not runs:
        targets = ", ".join(sorted(path.name for path in (study / "target").glob("*")))
        run = f"{intermediate=}, {arm=}, {seed=} on a task of the benchmark ({', '.join(FORMS)})"
        raise ValueError(f"{study} has no predictions of {run}; its targets: {targets or 'none'}")
    prepared = read(run_of("prepare"))["parameters"]
    files = {task: _files(run, task, prepared) for task, run in runs.items()}

    def fill(root: Path) -> None:
        for task, languages in files.items():
            (root / task).mkdir()
            for language, (_, text) in languages.items():
                file = root / task / f"test-{language}.{FORMS[task][0]}"
                file.write_text(text, encoding="utf-8", newline="\n")

    replace_folder(predictions, fill)
    return {task: {name: n for name, (n, _) in texts.items()} for task, texts in files.items()}


def _files(run: Path, task: str, prepared: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """language -> number of examples and the file's text; errors name the run."""
    table, files = run / "predictions.parquet", {}
    if (status := verify_hashes(run, table.name)["status"]) != "finished":
        raise ValueError(f"{run}: the run is {status}, there is nothing to submit")
    for language, rows in pd.read_parquet(table).groupby("language", sort=False):
        try:
            predictions = _in_order(rows, task, str(language), prepared)
            files[str(language)] = len(predictions), FORMS[task][1](task, predictions)
        except ValueError as error:
            raise ValueError(f"{run}, {language}: {error}") from None
    return files


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
    keys = rows["example_id"].str.removesuffix(FROM_ENGLISH)
    predictions = dict(zip(keys, rows["prediction"], strict=True))
    if missing := [example for example in ids if example not in predictions]:
        found = f"{len(missing)} of {len(ids)} test examples have no prediction"
        remedy = "prepare the study with a larger test_rows or retrieval_rows"
        needed = f"the first is {missing[0]!r}; a submission needs them all"
        raise ValueError(f"{found}, {needed}: {remedy}")
    if unknown := predictions.keys() - set(ids):
        known = f"the {len(ids)} test examples that {prepared['sources']} have"
        raise ValueError(f"example {min(unknown)!r} is not among {known}")
    if TASKS[task].format == "tagging":
        for example, words in zip(ids, examples["tokens"], strict=True):
            tags = len(predictions[example].split())
            if tags != len(words):
                raise ValueError(f"sentence {example} has {tags} tags for {len(words)} words")
    if TASKS[task].format == "span_qa":
        for example, context in zip(ids, examples["context"], strict=True):
            predictions[example] = text_at(context, predictions[example])
    return {example: predictions[example] for example in ids}


def _class(task: str, example: str, name: str) -> str:
    """The class as the benchmark names it; our tables may have another name for the same place."""
    official = ("entailment", "neutral", "contradiction") if task == "xnli" else ("0", "1")
    ours = TASKS[task].labels or official
    if name not in ours and name not in official:
        names = ", ".join(ours)
        raise ValueError(f"example {example} has the class {name!r}, expected one of {names}")
    return name if name in official else official[ours.index(name)]


def _classes(task: str, predictions: dict[str, str]) -> str:
    names = (_class(task, *prediction) for prediction in predictions.items())
    return _lines(json.dumps({"label": int(n)}) if task == "xcopa" else n for n in names)


def _tags(task: str, predictions: dict[str, str]) -> str:
    return "\n".join(_lines(tags.split()) for tags in predictions.values())


def _answers(task: str, predictions: dict[str, str]) -> str:
    return json.dumps(predictions, indent=2) + "\n"


def _ranked(task: str, predictions: dict[str, str]) -> str:
    return json.dumps({example: ranked.split() for example, ranked in predictions.items()})


def _numbers(task: str, predictions: dict[str, str]) -> str:
    """Line numbers from 0, which are what our ids of Tatoeba sentences end in."""
    for example, name in predictions.items():
        if not NUMBERED.fullmatch(name):
            expected = "expected an id that ends in a line number"
            raise ValueError(f"sentence {example} found {name!r}, {expected}")
    return _lines(str(int(NUMBERED.fullmatch(name)[2])) for name in predictions.values())


def _pairs(task: str, predictions: dict[str, str]) -> str:
    return _lines(f"{source}\t{target}" for source, target in predictions.items() if target)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


FORMS: dict[str, tuple[str, Callable[[str, dict[str, str]], str]]] = {
    **dict.fromkeys(("xnli", "pawsx"), ("tsv", _classes)),
    "xcopa": ("jsonl", _classes),
    **dict.fromkeys(("udpos", "panx"), ("tsv", _tags)),
    **dict.fromkeys(("xquad", "mlqa", "tydiqa"), ("json", _answers)),
    "tatoeba": ("tsv", _numbers),
    "bucc2018": ("tsv", _pairs),
    "mewslix": ("json", _ranked),
}


def main(arguments: list[str] | None = None) -> int:
    """Command line: 0 written, 2 refused."""
    name, what = "python -m xgrl.evaluation.submission", __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog=name, description=what)
    parser.add_argument("study", help="outputs/<study>")
    parser.add_argument("folder", help="where predictions/ is written")
    parser.add_argument("--intermediate", default="", help="intermediate task; none for arm none")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--seed", type=int, default=0)
    try:
        written = write_submission(**vars(parser.parse_args(arguments)))
    except (ValueError, SourceError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    for task, languages in written.items():
        print(f"{task}: " + ", ".join(f"{language} {n}" for language, n in languages.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
