"""The smoke study through Snakemake and papermill: whole, and doing nothing twice.

What holds of a finished study is asserted of the one that `make smoke` left in outputs/smoke;
that a killed one goes on where it was, in tests/faults.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from xgrl.runs import records
from xgrl.tasks import load_task

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.grid


def command(folder: Path, *arguments: str, study: str = "smoke", **config: object) -> list[str]:
    """The Makefile's command, with its outputs in `folder`."""
    files = [str(ROOT / "params" / f"{name}.yaml") for name in ("base", study)]
    extra = Path(tempfile.mkdtemp()) / "extra.yaml"
    extra.write_text(json.dumps({"outputs": "outputs"} | config))
    place = [
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--directory",
        str(folder),
        "--cores",
        "2",
        "--nolock",
        "--rerun-incomplete",
    ]
    return [
        sys.executable,
        "-m",
        "snakemake",
        *place,
        *arguments,
        "--configfile",
        *files,
        str(extra),
    ]


def snakemake(folder: Path, *arguments: str, **config: object) -> subprocess.CompletedProcess:
    """Run the study to its end, or what the arguments ask for."""
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    return subprocess.run(
        command(folder, *arguments, **config),
        capture_output=True,
        text=True,
        env=environment,
        timeout=900,
    )


@pytest.fixture(scope="module")
def study() -> Path:
    """The folder that has the finished smoke study in outputs/."""
    if not (ROOT / "outputs/smoke/analysis/report.html").exists():
        pytest.skip("the smoke study is not here: make smoke")
    return ROOT


@pytest.fixture(scope="module")
def grid(study, tmp_path_factory) -> Path:
    """A copy of it, with what Snakemake keeps of it, in which nothing is left to do: running the
    notebooks by hand may have made some runs anew.
    """
    folder = tmp_path_factory.mktemp("grid")
    for part in ("outputs/smoke", ".snakemake/metadata"):
        shutil.copytree(study / part, folder / part, symlinks=True)
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def runs(folder: Path, phase: str) -> dict[str, dict]:
    base = folder / "outputs" / "smoke" / phase
    return {
        str(p.parent.relative_to(base)): json.loads(p.read_text())
        for p in sorted(base.rglob("run.json"))
    }


def test_every_run_is_there_and_says_what_it_was(study):
    # 2 tasks x 2 seeds x (standard, dann), and control where it is probed (2 tasks x 1 seed)
    assert len(runs(study, "intermediate")) == 2 * 2 * 2 + 2
    # 2 targets; without intermediate training the classification target has 2 seeds, retrieval one
    # run; control is probed again after fine-tuning on one target (2 tasks x 1 seed)
    assert len(runs(study, "target")) == 2 * (2 * 2 * 2) + 2 + 1 + 2
    kept = [
        folder
        for folder in runs(study, "target")
        if (study / "outputs/smoke/target" / folder / "encoder").exists()
    ]
    assert sorted(kept) == sorted(
        f"intent/{task}.{arm}/seed-0"
        for task in ("sarcasm", "question-type")
        for arm in ("control", "dann")
    )
    assert len(runs(study, "probe")) == 2 * 2
    for phase in ("intermediate", "target", "probe"):
        for folder, record in runs(study, phase).items():
            assert record["status"] == "finished" and record["phase"] == phase
            assert f"seed-{record['parameters']['seed']}" in folder
            assert len(list((study / "outputs/smoke" / phase / folder).glob("*.ipynb"))) == 1


def test_the_report_stands_alone(study):
    analysis = study / "outputs/smoke/analysis"
    html = (analysis / "report.html").read_text()
    assert "<script src=" not in html and 'href="http' not in html.split("<body")[0]
    assert json.loads((analysis / "summary.json").read_text())
    assert len(pd.read_csv(analysis / "results.csv")) > 80


def test_no_cell_shows_a_text_of_the_data_without_its_tag(study):
    """What is published leaves out the outputs of cells that are tagged."""
    folder = study / "outputs/smoke"
    texts = pd.read_parquet(folder / "prepared/probe_texts.parquet").text.tolist()
    for name, language, split in (
        ("sarcasm", "en", "train"), ("intent", "en", "train"), ("intent", "de", "test"),
        ("emoji-names", "de", "queries"), ("emoji-names", "en", "candidates"),
    ):  # fmt: skip
        texts += load_task(name, language, split, "fixture")["text"][:]
    beginnings = {text[:25] for text in texts}  # 01 cuts what it shows
    shown, executed = set(), sorted(folder.rglob("*.ipynb"))
    assert len({path.name for path in executed}) == 5
    for path in executed:
        for cell in json.loads(path.read_bytes())["cells"]:
            held = json.dumps(cell.get("outputs", []), ensure_ascii=False)
            if any(text in held for text in beginnings):
                assert records.SHOWS_TEXTS in cell["metadata"].get("tags", []), (path, cell["id"])
                shown.add(path.name)
    assert shown == {"01_prepare.ipynb"}
    page = (folder / "analysis/report.html").read_text(encoding="utf-8")
    assert not [text for text in beginnings if text in page]


def test_intermediate_tasks_are_learned_and_transfer_is_between_chance_and_english(study):
    for folder, record in runs(study, "intermediate").items():
        assert record["metrics"]["learned"], folder
    scores = pd.DataFrame([r["metrics"] | r["parameters"] for r in runs(study, "target").values()])
    intent = scores[scores.target == "intent"]
    assert 100 / 24 < intent.macro.mean() < intent.english.mean()


def test_a_finished_study_has_nothing_to_do(study):
    again = snakemake(study)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr


def test_another_seed_runs_only_its_own_jobs(study):
    more = snakemake(study, "-n", scientific={"seeds": [0, 1, 2]})
    assert planned(more) == {"intermediate": 4, "target": 2 * 4 + 1, "analysis": 1, "report": 1}


def planned(done: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs by rule of a dry run."""
    found = re.findall(r"^(\w+) +(\d+) *$", done.stdout + done.stderr, re.M)
    return {rule: int(number) for rule, number in found if rule not in ("all", "total")}


def of_part(folder: Path, part: str, *arguments: str) -> subprocess.CompletedProcess:
    """What make study PART=.. calls, with an outputs folder that a shell would take apart."""
    environment = os.environ | {"PYTHONHASHSEED": "0", "XGRL_PART": part}
    called = command(folder, "part", *arguments, outputs="./o ut'p\"u $(touch mark)")
    return subprocess.run(called, capture_output=True, text=True, env=environment, timeout=900)


@pytest.mark.parametrize(
    ("part", "jobs"),
    [
        ("sarcasm.dann:0", {"intermediate": 1, "target": 2, "probe": 1}),
        ("sarcasm.dann:1 none:1", {"intermediate": 1, "target": 3}),
        ("none:0 none:0", {"target": 2}),
        ("sarcasm:0", {"intermediate": 3, "target": 5, "probe": 2}),
    ],
)
def test_a_part_of_a_study_has_its_own_jobs_and_no_analysis(tmp_path, part, jobs):
    assert planned(of_part(tmp_path, part, "-n")) == {"prepare": 1, "part": 1} | jobs


def test_a_part_that_the_study_lacks_is_refused_before_anything_runs(tmp_path):
    done = of_part(tmp_path, "sarcasm.dan:0 sarcasm.dann:7 $(touch mark)")
    assert done.returncode and not (tmp_path / "mark").exists() and not (ROOT / "mark").exists()
    refused = (done.stdout + done.stderr).partition("refused: ")[2]
    assert "did you mean 'dann'" in refused and "'sarcasm.dann' has no seed '7'" in refused
    assert not list(tmp_path.glob("o*"))


LANGUAGES = ["en", "de", "es", "fr", "ja", "ru"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "jobs"),
    [
        # the new target's own, no training
        ({"targets": ["intent", "emoji-names", "sentiment"]}, {"target": 10}),
        # every target has a new language
        ({"languages": [*LANGUAGES, "it"]}, {"target": 2 * 8 + 2 + 1 + 2, "probe": 4}),
        ({"languages": LANGUAGES}, {}),
    ],
)
def test_another_target_or_language_runs_only_jobs_whose_data_changed(
    grid, tmp_path, changed, jobs
):
    shutil.copytree(grid, tmp_path, dirs_exist_ok=True, symlinks=True)
    first = snakemake(tmp_path, "--until", "prepare", scientific=changed)
    assert first.returncode == 0, first.stderr[-3000:]
    counts = planned(snakemake(tmp_path, "-n", scientific=changed))
    assert counts == (jobs | {"analysis": 1, "report": 1} if jobs else {})


@pytest.mark.slow
def test_a_lost_run_is_made_again_bit_for_bit(grid):
    folder = grid / "outputs/smoke/target/intent/sarcasm.dann/seed-1"
    before = (folder / "predictions.parquet").read_bytes()
    shutil.rmtree(folder)
    done = snakemake(grid, str(folder.relative_to(grid) / "run.json"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "predictions.parquet").read_bytes() == before
    assert records.read(folder)["status"] == "finished"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study: smoke\n", "other.yaml: study is 'smoke', but must be the file's name"),
        ("fixed: {threads: 1}\nfixed: {}\n", "key 'fixed' stands twice, in line 1 and line 2"),
    ],
)
def test_a_study_file_that_says_something_else_is_refused_before_anything_runs(
    tmp_path, text, said
):
    (tmp_path / "other.yaml").write_text(text)
    files = [*command(tmp_path, "-n"), str(tmp_path / "other.yaml")]
    done = subprocess.run(files, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and said in done.stdout + done.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_mistake_is_refused_before_anything_runs(study):
    done = snakemake(study, "-n", scientific={"arms": ["standard", "dann", "dan"]})
    assert done.returncode != 0 and "did you mean 'dann'" in done.stdout + done.stderr
