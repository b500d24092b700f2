"""Tasks of one's own: the documented example runs, every mistake in it is refused by file, line and
what is allowed.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from example_rows import EXAMPLES
from xgrl.evaluation import scoring
from xgrl.evaluation.metrics import answers
from xgrl.runs import records
from xgrl.tasks.own import FILE, METRICS, MLQA, OwnTask, own_tasks
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.fixture import fixture_rows

ROOT = Path(__file__).resolve().parents[2]


def documented(which: int) -> dict:
    """What docs/own.md describes: the two tasks, the study of them."""
    section = (ROOT / "docs/own.md").read_text().split("## Your own data")[1]
    return yaml.safe_load(re.findall(r"```yaml\n(.*?)```", section, re.S)[which])


@pytest.fixture
def project(tmp_path) -> Path:
    """The documented two tasks with files of synthetic words, labels by name."""
    described = documented(0)
    for task in described["tasks"]:
        task["folder"] = str(tmp_path / task["folder"])
        for file in OwnTask.model_validate(task).files:
            split, language, _ = file.name.split(".")
            rows = fixture_rows(
                task["name"],
                "classification",
                language,
                split,
                tuple(task["labels"]),
                parallel=True,
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [row | {"label": task["labels"][row["label"]]} for row in rows[:300]]
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump(described))
    return tmp_path


def run(
    project: Path, notebook: str, env: dict[str, str] | None = None, **values: object
) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "xgrl.execution.execute",
        f"notebooks/{notebook}.ipynb",
        str(project / f"{notebook}.ipynb"),
        "--json",
    ]
    environment = os.environ | {"XGRL_TASKS": str(project / "tasks.yaml"), "OMP_NUM_THREADS": "1"}
    environment |= env or {}
    text = json.dumps({"outputs": str(project / "outputs"), "study": "mine"} | values)
    return subprocess.run(
        [*command, text], cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300
    )


STUDY = {
    "sources": ["own", "fixture"],
    "intermediate": ["urgency"],
    "targets": ["support-topic"],
    "languages": ["en", "de", "sw"],
}


@pytest.mark.slow
def test_the_example_of_the_readme_goes_through_the_phases(project):
    for notebook, values in {
        "01_prepare": STUDY,
        "02_intermediate": {"intermediate": "urgency", "arm": "dann", "steps": 20},
        "03_target": {
            "intermediate": "urgency",
            "arm": "dann",
            "target": "support-topic",
            "steps": 20,
        },
    }.items():
        done = run(project, notebook, **values)
        assert done.returncode == 0, done.stderr[-3000:]
    metrics = records.read(project / "outputs/mine/target/support-topic/urgency.dann/seed-0")[
        "metrics"
    ]
    assert set(metrics["scores"]) == {"en", "de", "sw"}
    card = (project / "outputs/mine/prepared/data_card.csv").read_text()
    assert "own: files in" in card and "support-topic" in card


@pytest.mark.slow
def test_files_are_utf8_whatever_the_locale(project):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = "import locale, xgrl.tasks; print(locale.getencoding(), len(xgrl.tasks.OWN))"
    names = {"low": "niedrig – später", "high": "अत्यावश्यक"}
    for file in (project / "tasks.yaml", *(project / "data/urgency").iterdir()):
        text = file.read_text(encoding="utf-8")
        for old, new in names.items():
            text = re.sub(rf"\b{old}\b", new, text)
        file.write_text(text, encoding="utf-8")
    environment = os.environ | ascii_only | {"XGRL_TASKS": str(project / "tasks.yaml")}
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.split() == ["ANSI_X3.4-1968", "2"]
    for notebook, values in {
        "01_prepare": STUDY,
        "02_intermediate": {"intermediate": "urgency", "arm": "standard", "steps": 5},
    }.items():
        done = run(project, notebook, env=ascii_only, **values)
        assert done.returncode == 0, done.stderr[-3000:]
    prepared = records.read(project / "outputs/mine/prepared")
    assert prepared["metrics"]["heads"]["intermediate/urgency"]["labels"] == list(names.values())
    trained = project / "outputs/mine/intermediate/urgency/standard/seed-0"
    (card,) = trained.rglob("README.md")
    assert "–" in card.read_text(encoding="utf-8")
    records.verify_hashes(trained)


def test_files_dated_ahead_of_the_clock_are_refused_before_the_first_job(project):
    files = sorted((project / "data").rglob("*.jsonl"))
    for ahead in (files[0], files[2]):
        os.utime(ahead, (time.time() + 3600, time.time() + 3600))
    (project / "mine.yaml").write_text(json.dumps(documented(1)))
    configs = [ROOT / "params/base.yaml", project / "mine.yaml"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    command += ["--directory", project, "--nolock", "--dry-run", "--configfile", *configs]
    environment = os.environ | {"XGRL_TASKS": str(project / "tasks.yaml")}

    def dry_run():
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300
        )

    done = dry_run()
    assert done.returncode != 0
    assert f"refused: {files[0]}, {files[2]}: dated ahead of this machine's clock" in done.stderr
    for ahead in (files[0], files[2]):
        ahead.touch()
    (project / "params").mkdir()
    (project / "params/analysis_plan.md").write_text("")
    os.utime(project / "params/analysis_plan.md", (time.time() + 3600, time.time() + 3600))
    assert "refused: params/analysis_plan.md: dated ahead" in dry_run().stderr
    (project / "params/analysis_plan.md").touch()
    done = dry_run()
    assert done.returncode == 0 and "prepare" in done.stdout, done.stderr[-3000:]


def test_a_missing_file_is_refused_before_a_kernel_starts(project):
    (project / "data/support-topic/test.sw.jsonl").unlink()
    done = run(project, "01_prepare", **STUDY)
    assert done.returncode == 2
    assert re.search(r"refused: task 'support-topic': .*test\.sw\.jsonl missing", done.stderr)
    assert not (project / "outputs").exists()


def test_a_folder_with_braces_is_refused_since_snakemake_would_take_it_for_a_pattern(project):
    (project / "data").rename(project / "da{t}a")
    tasks = project / "tasks.yaml"
    tasks.write_text(tasks.read_text().replace("data/", "da{t}a/"))
    done = run(project, "01_prepare", **STUDY)
    assert done.returncode == 2
    assert re.search(r"task 'support-topic': .*da\{t\}a.*: braces are wildcards", done.stderr)


def test_a_description_that_is_none_is_refused_everywhere(project):
    (project / "tasks.yaml").write_text("tasks: [{name: sarcasm, role: target, format: tagging}]")
    done = run(project, "01_prepare")
    assert done.returncode == 2
    assert "task 1 ('sarcasm')" in done.stderr
    assert "folder: missing" in done.stderr


TAGGING, ANSWERS = {"format": "tagging"}, {"format": "span_qa", "labels": [], "metric": "mlqa"}
SPANS = TAGGING | {"metric": "span_f1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": "accuracy"}, r"metrics='accuracy': unknown key; did you mean 'metric'\?"),
        ({"format": "clasification"}, "format='clasification'.*'classification'"),
        ({"labels": ["one"]}, "two or more different names"),
        ({"labels": ["a", "a"]}, "two or more different names"),
        ({"languages": ["en"]}, "at least one beside en"),
        ({"languages": ["de", "de"]}, "each once"),
        ({"languages": ["../de"]}, "languages.0='../de'"),
        ({"metric": "squad"}, r"metric='squad': .*allowed: accuracy"),
        ({"role": "intermediate"}, "an intermediate task is trained on, in English"),
        ({"format": "span_qa"}, "span_qa needs none"),
        ({"name": "../x"}, "name='../x'"),
        (TAGGING | {"labels": ["O", "B-PER", "I-PER"]}, r"labels=\['O', 'B-PER', 'I-PER'\]"),
        (TAGGING | {"labels": ["B", "I", "NOUN", "OTHER"]}, r"labels=\['OTHER'\], metric='tag_f1'"),
        (SPANS | {"labels": ["NOUN", "O", "VERB"]}, r"\['NOUN', 'VERB'\], .*span_f1 reads O, B-<"),
        (SPANS | {"labels": ["O", "B", "I"]}, r"labels=\['B', 'I'\], metric='span_f1'"),
        (SPANS | {"labels": ["O", "B-X", "E-X", "S-X"]}, r"labels=\['E-X', 'S-X'\]"),
        (SPANS | {"labels": ["O", "B-a b"]}, r"labels=\['B-a b'\].*no tag has a blank"),
        (TAGGING | {"labels": ["NOUN", "PROPER NOUN"]}, r"labels=\['PROPER NOUN'\].*blank"),
        (ANSWERS | {"languages": ["en", "de", "sw"]}, r"languages=\['sw'\], metric='mlqa': .*vi"),
        ({"max_length": 7}, "max_length=7"),
        ({"languages": ["en", False]}, r"languages\.1=False \(bool\): .*no text without quotes"),
        ({"labels": [True, False]}, r"labels\.0=True .*no text without quotes"),
    ],
)
def test_a_mistake_in_the_description_is_named(tmp_path, change, message):
    entry = next(task for task in documented(0)["tasks"] if task["role"] == "target") | change
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"tasks": [entry]}))
    with pytest.raises(ValueError, match=message) as error:
        own_tasks(tmp_path / "tasks.yaml")
    assert "tasks.yaml, task 1" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("metric", METRICS["tagging"])
def test_tags_that_a_description_may_have_are_those_that_its_metric_reads(metric):
    tags = ("O", "o", "B", "I", "B-", "B-x", "I-x-y", "E-x", "S-x", "B-x y", "b-x", "NOUN", "OTHER")
    tags += ("A-B", ".x", "x.", "-", "n n", "名詞", "O-x", "n\u00a0n")
    for tag in tags:
        entry = {"name": "x", "role": "target", "format": "tagging", "folder": "x"}
        entry |= {"languages": ["de"], "metric": metric}
        labels = [tag, "B-fine" if metric == "span_f1" else "FINE"]
        try:
            scoring.contributions(metric, [[tag]], [[tag]])
        except ValueError:
            with pytest.raises(ValueError, match="no tag has a blank"):
                OwnTask.model_validate(entry | {"labels": labels})
        else:
            assert OwnTask.model_validate(entry | {"labels": labels}).labels == labels
    trained = entry | {"role": "intermediate", "languages": ["en"], "labels": ["O", "NOUN"]}
    assert OwnTask.model_validate(trained), "no such score is taken of an intermediate task"


def test_languages_of_the_mlqa_metric_are_its_own():
    assert sorted(MLQA) == sorted(answers.LANGUAGES)


@pytest.mark.parametrize("texts", [[], [""]])
def test_a_question_without_an_answer_is_refused_where_the_metric_takes_none(tmp_path, texts):
    task = own(tmp_path, "span_qa", metric="mlqa")
    line = LINES["span_qa"] | {"answers": {"text": texts, "answer_start": [0] * len(texts)}}
    task.file("dev", "en").write_text(f"{json.dumps(LINES['span_qa'])}\n{json.dumps(line)}\n")
    reason = "both [] without an answer" if texts else "takes answerable questions only; squad any"
    with pytest.raises(SourceError, match=rf"dev\.en\.jsonl, line 2: .*{re.escape(reason)}"):
        list(task.rows("dev", "en"))
    if not texts:
        assert len(list(own(tmp_path, "span_qa").rows("dev", "en"))) == 2


def test_the_projects_own_file_can_be_read():
    assert FILE.is_file() and isinstance(own_tasks(FILE), list)


@pytest.mark.parametrize(
    "text",
    [
        "tasks: {a: 1}",
        "[1, 2]",
        "tasks: [1",
        "3",
        "tasks: [3]",
        "tasks: [null]",
        "tasks: []\ntasks: []",
    ],
)
def test_a_file_that_describes_nothing_is_refused(tmp_path, text):
    (tmp_path / "tasks.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"tasks\.yaml"):
        own_tasks(tmp_path / "tasks.yaml")


def test_what_yaml_reads_otherwise_is_refused_with_its_line(tmp_path):
    text = "tasks:\n- name: a\n  labels: [x, y]\n  labels: [u, v]\n  max_length: 0100\n"
    (tmp_path / "tasks.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"'labels' stands twice, in line 3 and line 4; .*line 5"):
        own_tasks(tmp_path / "tasks.yaml")


def own(folder: Path, format: str, **more: object) -> OwnTask:
    return OwnTask(
        name="x", role="target", format=format, folder=str(folder), languages=["en", "de"], **more
    )


LINES = EXAMPLES | {  # labels by name, and without what a line may lack
    "classification": {"id": "1", "text": "a", "label": "no"},
    "tagging": {"id": "1", "tokens": ["a", "b"], "tags": ["no", "yes"]},
    "retrieval": {"id": "1", "text": "a"},
}


@pytest.mark.parametrize("format", METRICS)
def test_a_line_of_every_format_is_read_and_a_wrong_one_is_named(tmp_path, format):
    labels = {"labels": ["no", "yes"]} if format in ("classification", "tagging") else {}
    task, split = own(tmp_path, format, **labels), "queries" if format == "retrieval" else "test"
    file = task.file(split, "de")
    file.write_text(json.dumps(LINES[format]) + "\n")
    assert [row["id"] for row in task.rows(split, "de")] == ["1"]
    for bad, message in (
        (LINES[format] | {"lable": "no"}, "unknown column 'lable'; allowed: id"),
        ({key: value for key, value in LINES[format].items() if key != "id"}, "expected 'id'"),
        (LINES[format] | {"id": 7}, "id=7: expected text"),
        *(
            ((LINES[format] | {"label": "on"}, r"label='on': did you mean .*\? allowed: no, yes"),)
            if format == "classification"
            else ()
        ),
        *(
            ((LINES[format] | {"tags": ["no", 5]}, r"tags=5: .*allowed: no, yes"),)
            if format == "tagging"
            else ()
        ),
        ("no json", "expected a JSON object"),
        ('{"id": "1", "x": {"y": 1, "y": 1}}', "key 'y' stands twice"),
        (json.dumps(LINES[format])[:-1] + ', "id": "2"}', "key 'id' stands twice"),
    ):
        file.write_text(
            json.dumps(LINES[format])
            + "\n"
            + (bad if isinstance(bad, str) else json.dumps(bad))
            + "\n"
        )
        with pytest.raises(SourceError, match=rf"{split}\.de\.jsonl, line 2: .*{message}"):
            list(task.rows(split, "de"))
    file.unlink()
    with pytest.raises(SourceError, match="does not exist"):
        list(task.rows(split, "de"))


ONE_ANSWER = LINES["span_qa"]["answers"]
WRONG = [
    ("classification", {"text": "\ud83d"}, r"\(\\ud83d is half a character, at 22\)"),
    ("classification", {"id": "\udc00"}, r"\(\\udc00 is half a character, at \d+\)"),
    ("classification", {"text_pair": ["b"]}, r"text_pair=\['b'\]: expected text"),
    ("classification", {"label": True}, "label=True: .*allowed: no, yes"),
    ("classification", {"label": None}, "label=None: .*allowed: no, yes"),
    *(
        ("multiple_choice", {"label": label}, rf"label={re.escape(repr(label))}: expected a whole")
        for label in (1.5, 1.0, True, "1", None, [1])
    ),
    *(
        ("multiple_choice", {"choices": some}, "choices=.*: expected a list of texts")
        for some in ("wet", None, ["a", None], [1, 2], {"text": ["a", "b"]})
    ),
    *(
        ("span_qa", {"answers": answers}, r"answers=.*: expected \{\"text\": \[texts\]")
        for answers in (
            [{"text": "c", "answer_start": 2}],
            {"text": "c", "answer_start": 2},
            {"text": ["c", "b"], "answer_start": [2]},
            ONE_ANSWER | {"answer_start": ["2"]},
            ONE_ANSWER | {"answer_start": [2.0]},
            ONE_ANSWER | {"answer_start": [True]},
            ONE_ANSWER | {"text": [None]},
            ONE_ANSWER | {"text": [""]},
            ONE_ANSWER | {"answer_end": [3]},
            {"text": ["c"]},
            None,
        )
    ),
    *(
        ("tagging", {"tokens": some}, "tokens=.*: expected a list of texts")
        for some in ("ab", [1, 2], ["a", None], None)
    ),
    ("tagging", {"tags": "no"}, "tags='no': expected a list of tags"),
    ("tagging", {"tags": None}, "tags=None: expected a list of tags"),
    ("tagging", {"tags": ["no", None]}, "tags=None: .*allowed: no, yes"),
    *(
        ("retrieval", {"gold": gold}, "gold=.*: expected a list of ids")
        for gold in ("1", ["1", 2], {"id": "1"}, 1)
    ),
]


@pytest.mark.parametrize(("format", "change", "message"), WRONG)
def test_a_value_of_another_kind_is_named_with_its_line(tmp_path, format, change, message):
    labels = {"labels": ["no", "yes"]} if format in ("classification", "tagging") else {}
    task, split = own(tmp_path, format, **labels), "queries" if format == "retrieval" else "test"
    lines = [LINES[format], LINES[format] | {"id": "2"} | change]
    task.file(split, "de").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SourceError, match=rf"{split}\.de\.jsonl, line 2: .*{message}"):
        list(task.rows(split, "de"))


def test_emoji_that_json_writes_as_a_pair_of_escapes_are_read(tmp_path):
    task = own(tmp_path, "retrieval")
    task.file("queries", "de").write_text(json.dumps({"id": "1", "text": "\U0001f600"}) + "\n")
    assert next(task.rows("queries", "de"))["text"] == "\U0001f600"
