"""Texts of the data stay in the prepared folder: a run's files hold none, and a notebook that shows
some loses them when it is published.
"""

import json
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from small_study import prepare
from xgrl.evaluation import spans
from xgrl.execution import execute
from xgrl.prepare.folder import Prepared
from xgrl.report.html import html
from xgrl.runs import records
from xgrl.tasks import find_task, load_task

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TARGETS = ["xnli", "xcopa", "panx", "xquad", "tatoeba", "mewslix"]  # every format
LANGUAGES = ["en", "de", "et"]
STUDY = {"targets": TARGETS, "languages": LANGUAGES, "max_length": 48, "test_rows": 60,
         "retrieval_rows": 60}  # fmt: skip


def strings(value) -> list[str]:
    """All texts in nested lists and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if isinstance(value, str) else [
        text for each in value for text in strings(each)
    ] if isinstance(value, list) else []  # fmt: skip


def texts_of(target: str, count: int) -> list[str]:
    """Some of the texts of a target's test rows as the source has them, drawn at random: sentences,
    choices, questions, contexts, answers, sentences of words.
    """
    task, texts = find_task(target, "target"), set()
    for language in set(LANGUAGES) & set(task.languages):
        split = "queries" if task.format == "retrieval" else "test"
        for row in load_task(target, language, split, "fixture", role="target").to_list():
            del row["id"]
            row |= {"tokens": " ".join(row.get("tokens", [])), "gold": []}
            texts |= {text for text in strings(row) if text}
    return np.random.default_rng(0).permutation(sorted(texts))[:count].tolist()


TEXTS = {target: texts_of(target, 40) for target in TARGETS}


def content(path: Path) -> str:
    """All that can be read in a file: of a table every cell."""
    if path.suffix == ".parquet":
        return "\n".join(strings(pq.read_table(path).to_pylist()))
    return path.read_bytes().decode(errors="replace")


def found_in(folder: Path, texts: list[str]) -> set[str]:
    """Those of the texts that some file below the folder holds, notebooks apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".ipynb"]
    assert files, folder
    return {text for path in files for text in texts if text in content(path)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("texts"), **STUDY)


def run_cells(prepared: Prepared, target: str) -> tuple[Path, dict]:
    """Notebook 03's own cells on a target, from the public encoder: the run's folder, and what the
    cells have defined.
    """
    defined = {}
    for cell in nbformat.read(ROOT / "notebooks/03_target.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, cell.id, "exec"), defined)
        if "parameters" in cell.metadata.get("tags", []):
            defined |= {"outputs": str(prepared.folder.parents[1]), "target": target, "steps": 4}
            defined |= {"arm": "none", "intermediate": "none", "keep_encoder": False}
    return defined["folder"], defined


def test_the_texts_that_are_looked_for_are_many_and_of_every_format():
    assert sum(map(len, TEXTS.values())) >= 200
    assert {find_task(name, "target").format for name in TARGETS} == {
        "classification", "multiple_choice", "tagging", "span_qa", "retrieval"
    }  # fmt: skip
    answers = {text for row in load_task("xquad", "de", "test", "fixture") for text in
               row["answers"]["text"]}  # fmt: skip
    assert set(TEXTS["xquad"]) & answers and set(TEXTS["xquad"]) - answers


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_run_leaves_for_the_analysis_holds_no_text_of_the_data(prepared, target):
    folder, _ = run_cells(prepared, target)
    assert {"run.json", "predictions.parquet"} <= {path.name for path in folder.iterdir()}
    assert found_in(folder, [text for texts in TEXTS.values() for text in texts]) == set()


def test_answers_are_spans_whose_words_are_in_the_prepared_folder(prepared):
    folder, run = run_cells(prepared, "xquad")
    there = found_in(prepared.folder / "target/xquad", TEXTS["xquad"])
    assert len(there) > 20, "the search finds texts where they are"
    frame = pd.read_parquet(folder / "predictions.parquet")
    shown = spans.in_words(frame, prepared)
    assert shown.drop(columns=["gold", "prediction"]).equals(
        frame.drop(columns=["gold", "prediction"])
    )
    rows = {language: {row["id"]: row for row in load_task("xquad", language, "test", "fixture")}
            for language in prepared.languages("xquad")}  # fmt: skip
    for row in shown.itertuples():
        source = rows[row.language][row.example_id]
        assert row.gold == " | ".join(source["answers"]["text"])
        assert row.prediction in source["context"]
    assert shown.prediction.nunique() > 20
    exact = shown.prediction == shown.gold  # fixture answers need no normalisation
    means = exact.groupby(shown.language).mean() * 100
    official = {k: v["exact_match"] for k, v in run["metrics"]["official"].items()}
    assert means.to_dict() == pytest.approx(official)
    names = frame.assign(target="xnli", gold="neutral")
    assert spans.in_words(names, prepared) is names


def outputs(notebook: dict, tagged: bool) -> str:
    """What the outputs of an executed notebook's cells hold, of those that show texts or others."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    return "\n".join(
        text
        for cell, own in zip(cells, tags, strict=True)
        if (records.SHOWS_TEXTS in own) == tagged
        for output in cell["outputs"]
        for text in ["".join(strings(output)), *strings(output)]
    )


@pytest.mark.slow
def test_published_notebooks_of_a_study_show_no_text_of_the_data(tmp_path):
    about = {"study": "texts", "outputs": str(tmp_path)}
    values = {
        "01_prepare": STUDY | {"targets": ["xquad", "xnli"], "languages": ["en", "de"]},
        "03_target": {"target": "xquad", "arm": "none", "intermediate": "none", "steps": 4},
    }
    trained_on = [row["context"] for row in load_task("xquad", "en", "train", "fixture")]
    texts = {text[:40] for text in [*trained_on, *texts_of("xquad", 2000)]}  # 01 shows beginnings
    for name, own in values.items():
        executed = tmp_path / f"{name}.ipynb"
        execute.run(ROOT / f"notebooks/{name}.ipynb", executed, about | own)
        before = json.loads(executed.read_bytes())
        after = records.published_notebook(executed).decode()
        assert any(text in outputs(before, tagged=True) for text in texts), name
        assert not [text for text in texts if text in outputs(before, tagged=False)], name
        assert not [text for text in texts if text in after], name
        kept = json.loads(after)
        assert outputs(kept, tagged=True) == "" and len(outputs(kept, tagged=False)) > 200
        page = html(executed, tmp_path / "page.html").read_text(encoding="utf-8")
        assert not [text for text in texts if text in page], name
