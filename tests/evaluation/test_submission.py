"""Submissions: the benchmark's mock predictions come back as they were, and what cannot be
submitted is refused.
"""

import json
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from mock_scores import MOCK, TAGGING, read_mock
from xgrl.evaluation import submission
from xgrl.evaluation.submission import FORMS, write_submission
from xgrl.prepare.select_rows import load_rows
from xgrl.runs.records import PREDICTION_COLUMNS, finish, run_folder
from xgrl.tasks import TASKS, load_task

RUN = {"intermediate": "sarcasm", "arm": "dann", "seed": 0}


@pytest.fixture
def study(tmp_path):
    """A prepared study without predictions, its data from the fixture."""
    folder = run_folder(tmp_path, "mock", "prepare")
    parameters = {"study": "mock", "sources": ["fixture"], "path": ""}
    finish(folder, phase="prepare", parameters=parameters, metrics={}, started=time.monotonic())
    return tmp_path / "mock"


def put(study, task: str, rows: pd.DataFrame, status: str = "finished") -> None:
    """Write a finished run whose predictions are `rows` (language, example_id, gold, prediction),
    in any order.
    """
    folder = run_folder(study.parent, study.name, "target", target=task, **RUN)
    folder.mkdir(parents=True)
    rows = rows.assign(study="mock", target=task, score=0.0, **RUN)[list(PREDICTION_COLUMNS)]
    rows.sample(frac=1, random_state=0).astype(PREDICTION_COLUMNS).to_parquet(
        folder / "predictions.parquet"
    )
    finish(
        folder,
        phase="target",
        parameters={"study": "mock"},
        metrics={},
        started=time.monotonic(),
        status=status,
    )


def rows_of(task: str, language: str, answer) -> pd.DataFrame:
    """Rows of the fixture's test examples of a task, `answer` of each example as its prediction."""
    split = "queries" if TASKS[task].format == "retrieval" else "test"
    examples = load_task(task, language, split, source="fixture").to_list()
    return pd.DataFrame(
        {
            "language": language,
            "example_id": [row["id"] for row in examples],
            "gold": "",
            "prediction": [*map(answer, examples)],
        }
    )


@pytest.mark.oracle
@pytest.mark.parametrize("task", MOCK)
def test_mock_predictions_come_back(shared, study, tmp_path, monkeypatch, task):
    """Rows are shuffled, and carry the tables' own class names, ids and directions."""
    folder = shared / "oracles" / "xtreme_mock" / "predictions" / task
    if not folder.exists():
        pytest.skip("the benchmark's mock predictions are not here")
    frames, known = [], {}
    for file in sorted(folder.iterdir()):
        language, found = file.stem.removeprefix("test-"), read_mock(file, MOCK[task])
        ids = (
            [*found]
            if isinstance(found, dict)
            else [f"{task}-{i}" for i in np.random.default_rng(1).permutation(len(found))]
        )
        found = [*found.values()] if isinstance(found, dict) else found
        known[language] = {"id": ids, "text": [f"{i:03d}" for i in range(len(ids))]}
        if task in ("mewslix", "udpos", "panx"):
            known[language]["tokens"] = found
            found = [" ".join(values) for values in found]
        if task == "bucc2018":
            ids, found = zip(*(pair.split("\t") for pair in found), strict=True)
            # a sentence without a partner
            known[language]["id"] = ids = [*ids, f"{language}-000000000"]
            found = [*found, ""]
        if TASKS[task].format == "span_qa":  # an answer stands somewhere in its context
            known[language]["context"] = [f"\N{OLD ITALIC LETTER A} {text}." for text in found]
            found = [f"2:{2 + len(text)}" if text else "" for text in found]
        if task == "pawsx":
            found = [TASKS["pawsx"].labels[int(label)] for label in found]
        rows = pd.DataFrame(
            {"language": language, "example_id": ids, "gold": "", "prediction": found}
        )
        # both directions; the English side is in the order of its sorted texts
        if task == "tatoeba":
            rows["prediction"] = f"tatoeba-{language}-" + rows["prediction"]
            rows = pd.concat(
                [
                    rows.assign(example_id=rows["example_id"] + direction)
                    for direction in (" xx-en", " en-xx")
                ]
            )
            rows.loc[rows["example_id"].str.endswith(" xx-en"), "prediction"] = "tatoeba-other-7"
            known[language] = {key: values[::-1] for key, values in known[language].items()}
        frames.append(rows)
    monkeypatch.setattr(
        submission, "load_rows", lambda task, language, split, prepared: known[language]
    )
    put(study, task, pd.concat(frames, ignore_index=True))
    counts = write_submission(study, tmp_path / "sent", **RUN)
    assert set(counts) == {task} and set(counts[task]) == set(known)
    sent = tmp_path / "sent" / "predictions" / task
    assert {file.name for file in sent.iterdir()} == {file.name for file in folder.iterdir()}
    for file in folder.iterdir():
        ours, theirs = (
            (sent / file.name).read_text(encoding="utf-8"),
            file.read_text(encoding="utf-8"),
        )
        if file.suffix == ".json":
            assert json.loads(ours) == json.loads(theirs), file.name
            assert list(json.loads(ours)) == list(json.loads(theirs))
        else:
            assert ours == theirs, file.name


def test_all_tasks_of_the_benchmark_end_up_in_one_folder(study, tmp_path):
    answers = {
        "xnli": lambda _: "neutral",
        "udpos": lambda row: " ".join(["NOUN"] * len(row["tokens"])),
        "xquad": lambda row: "3:11" if row["id"].endswith("7") else "",
        "bucc2018": lambda row: row["id"] if row["gold"] else "",
        "xcopa": lambda row: str(row["label"] % 2),
        "mewslix": lambda row: " ".join(row["gold"]),
    }
    language = {"xcopa": "et"}
    for task, answer in answers.items():
        put(study, task, rows_of(task, language.get(task, "de"), answer))
    put(study, "intent", rows_of("intent", "de", lambda _: "0"))
    counts = write_submission(study, tmp_path / "sent", **RUN)
    sent = tmp_path / "sent" / "predictions"
    assert set(counts) == set(answers) == {folder.name for folder in sent.iterdir()}
    for task in answers:
        rows = load_task(
            task,
            language.get(task, "de"),
            "queries" if TASKS[task].format == "retrieval" else "test",
            source="fixture",
        )
        text = next(
            (sent / task).glob(f"test-{language.get(task, 'de')}.{FORMS[task][0]}")
        ).read_text(encoding="utf-8")
        assert counts[task] == {language.get(task, "de"): len(rows)}
        if task == "xnli":
            assert text == "neutral\n" * len(rows)
        elif task == "udpos":
            assert [s.count("\n") + 1 for s in text.strip("\n").split("\n\n")] == [
                len(tokens) for tokens in rows["tokens"]
            ]
        elif task == "xquad":
            said = {row["id"]: row["context"][3:11] * row["id"].endswith("7") for row in rows}
            assert json.loads(text) == said and len(set(said.values())) > 5
        elif task == "bucc2018":
            assert text.splitlines() == [f"{row['id']}\t{row['id']}" for row in rows if row["gold"]]
        elif task == "xcopa":
            assert [json.loads(line)["label"] for line in text.splitlines()] == [
                label % 2 for label in rows["label"]
            ]
        else:
            assert json.loads(text) == {row["id"]: row["gold"] for row in rows}


def test_tatoeba_is_searched_from_the_sorted_english_side(study, tmp_path):
    english = load_task("tatoeba", "de", "candidates", source="fixture")
    rows = pd.DataFrame(
        {
            "language": "de",
            "example_id": [f"{i} en-xx" for i in english["id"]],
            "gold": "",
            "prediction": english["id"],
        }
    )
    put(study, "tatoeba", rows)
    write_submission(study, tmp_path / "sent", **RUN)
    lines = (tmp_path / "sent/predictions/tatoeba/test-de.tsv").read_text().splitlines()
    texts = {
        name.rpartition("-")[2]: text
        for name, text in zip(english["id"], english["text"], strict=True)
    }
    assert len(lines) == len(english) and [texts[line] for line in lines] == sorted(english["text"])


REFUSED = {
    "no rows of a sample": (lambda rows: rows[3:], "3 of 60 test examples have no prediction"),
    "an unknown class": (
        lambda rows: rows.assign(prediction="maybe"),
        "class 'maybe', expected one of entailment, neutral",
    ),
    "unknown examples": (
        lambda rows: pd.concat([rows, rows[:1].assign(example_id="x")]),
        "'x' is not among the 60 test examples",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(study, tmp_path, case):
    change, message = REFUSED[case]
    put(study, "xnli", change(rows_of("xnli", "de", lambda _: "neutral")))
    with pytest.raises(ValueError, match=message) as error:
        write_submission(study, tmp_path / "sent", **RUN)
    assert "xnli" in str(error.value) and "de" in str(error.value)
    assert not (tmp_path / "sent" / "predictions").exists()


def test_tags_must_fit_the_words(study, tmp_path):
    put(study, "panx", rows_of("panx", "de", lambda _: "O"))
    with pytest.raises(ValueError, match=r"sentence panx-de-test-\d+ has 1 tags for \d+ words"):
        write_submission(study, tmp_path / "sent", **RUN)


@pytest.mark.parametrize("answer", ["Ann", "5", "0:100000", "7:3", "-1:3", "1: 2", "²:³"])
def test_answers_must_be_spans_of_their_context(study, tmp_path, answer):
    put(study, "xquad", rows_of("xquad", "de", lambda _: answer))
    message = rf"xquad.*de.*the answer '{answer}', expected start:end, \d+ at most"
    with pytest.raises(ValueError, match=message):
        write_submission(study, tmp_path / "sent", **RUN)
    assert not (tmp_path / "sent" / "predictions").exists()


def test_found_sentences_must_have_line_numbers(study, tmp_path):
    ids = load_task("tatoeba", "de", "candidates", source="fixture")["id"]
    rows = pd.DataFrame(
        {
            "language": "de",
            "example_id": [f"{i} en-xx" for i in ids],
            "gold": "",
            "prediction": "none",
        }
    )
    put(study, "tatoeba", rows)
    with pytest.raises(ValueError, match="found 'none', expected an id that ends in a line number"):
        write_submission(study, tmp_path / "sent", **RUN)


def test_rows_that_the_loader_left_out_are_missed_where_lines_count(study, tmp_path, monkeypatch):
    def load(*arguments, **place):
        warnings.warn("xnli de test: left out 2 empty text; 60 rows remain", stacklevel=2)
        return load_rows(*arguments, **place)

    monkeypatch.setattr(submission, "load_rows", load)
    put(study, "xquad", rows_of("xquad", "de", lambda _: ""))
    assert write_submission(study, tmp_path / "keyed", **RUN) == {"xquad": {"de": 60}}
    put(study, "xnli", rows_of("xnli", "de", lambda _: "neutral"))
    with pytest.raises(
        ValueError, match=r"left out 2 empty text.* the benchmark has a line for each"
    ):
        write_submission(study, tmp_path / "sent", **RUN)


def test_runs_that_are_not_there_or_not_finished_are_refused(study, tmp_path):
    rows = rows_of("xnli", "de", lambda _: "neutral")
    put(study, "intent", rows)
    with pytest.raises(
        ValueError,
        match=r"no predictions of .*arm='dann', seed=0 on a task of .*its targets: intent",
    ):
        write_submission(study, tmp_path / "sent", **RUN)
    put(study, "xnli", rows, status="diverged")
    with pytest.raises(ValueError, match="the run is diverged"):
        write_submission(study, tmp_path / "sent", **RUN)
    run = run_folder(study.parent, study.name, "target", target="xnli", **RUN)
    (run / "predictions.parquet").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"predictions\.parquet is damaged"):
        write_submission(study, tmp_path / "sent", **RUN)
    (run / "predictions.parquet").unlink()
    with pytest.raises(ValueError, match=r"predictions\.parquet: not there"):
        write_submission(study, tmp_path / "sent", **RUN)
    (run / "run.json").unlink()
    with pytest.raises(ValueError, match=r"run\.json: not there; this run has not finished"):
        write_submission(study, tmp_path / "sent", **RUN)


@pytest.mark.slow
def test_command_line(study, tmp_path):
    put(study, "xnli", rows_of("xnli", "de", lambda _: "neutral"))
    command = [
        sys.executable,
        "-m",
        "xgrl.evaluation.submission",
        study,
        tmp_path / "sent",
        "--intermediate",
        "sarcasm",
        "--arm",
        "dann",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "xnli: de 60\n")
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert again.stderr.startswith("refused: ")
    assert "already there" in again.stderr


def test_every_form_is_of_a_task_in_the_tables():
    assert set(FORMS) <= set(TASKS)
    assert {task for task, metric in MOCK.items() if metric in TAGGING} == {
        t for t in FORMS if TASKS[t].format == "tagging"
    }
