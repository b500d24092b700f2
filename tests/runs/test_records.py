"""Nothing half-written is taken for finished, nothing finished is lost."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from xgrl.runs import records


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = records.write_bytes(tmp_path / "a.json", b"old")

    def fail(temporary):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        records.write(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path):
    folder = records.replace_folder(tmp_path / "f", lambda p: (p / "x").write_text("old"))

    def fail(temporary):
        (temporary / "x").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.replace_folder(folder, fail)
    assert (folder / "x").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_run_json_is_complete_and_strict(tmp_path):
    started = records.start(tmp_path, "s")
    parameters = {"study": "s", "threads": 1, "device": "cpu"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.finish(
            tmp_path, phase="target", parameters=parameters, metrics={"x": np.nan}, started=started
        )
    assert not (tmp_path / "run.json").exists()
    records.finish(
        tmp_path,
        phase="target",
        parameters=parameters,
        metrics={"x": np.float64(1)},
        started=started,
    )
    record = records.read(tmp_path)
    assert record["status"] == "finished"
    assert record["metrics"] == {"x": 1.0}
    assert record["peak_memory_mb"] > 1
    with pytest.raises(ValueError, match="diverged"):
        records.finish(
            tmp_path,
            phase="target",
            parameters=parameters,
            metrics={},
            started=started,
            status="ok",
        )


def test_another_study_in_the_folder_is_refused_and_kept(tmp_path):
    records.write_json(tmp_path / "run.json", {"schema": 1, "study": "other"})
    with pytest.raises(ValueError, match="other"):
        records.start(tmp_path, "mine")
    assert json.loads((tmp_path / "run.json").read_text())["study"] == "other"


def test_a_run_of_an_earlier_layout_is_replaced_and_never_read(tmp_path):
    records.write_json(tmp_path / "run.json", {"schema": 1, "study": "mine", "files": {}})
    with pytest.raises(ValueError, match="schema 1, this one reads 2"):
        records.verify_hashes(tmp_path)
    records.start(tmp_path, "mine")
    assert not (tmp_path / "run.json").exists()


def test_a_study_of_an_earlier_layout_is_never_half_read(tmp_path):
    """By the notebooks that read what 01 prepared, or by the report: old runs, whole or in part."""
    from xgrl.prepare.folder import Prepared
    from xgrl.report.load_study import collect

    run = records.run_folder(tmp_path, "mine", "target", intermediate="i", arm="dann", target="t")
    for folder in (records.run_folder(tmp_path, "mine", "prepare"), run):
        records.write_json(folder / "run.json", {"schema": 1, "study": "mine", "files": {}})
    for read in (lambda: Prepared.of(tmp_path, "mine"), lambda: collect(tmp_path / "mine")):
        with pytest.raises(ValueError, match=r"another version.*say make study STUDY=mine"):
            read()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "not finished"),
        ("{", "not readable"),
        ('{"schema": 99}', "schema"),
        ('{"schema": 1, "study": "mine"}', "make study STUDY=mine: it is made anew"),
        ("{}", "another version"),
    ],
)
def test_unreadable_records(tmp_path, content, word):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=word):
        records.read(tmp_path)


def frame(**changes):
    row = {
        "study": "s",
        "intermediate": "i",
        "arm": "dann",
        "target": "t",
        "seed": 0,
        "language": "de",
        "example_id": "1",
        "gold": "a",
        "prediction": "a",
        "score": 100.0,
    }
    return pd.DataFrame([row, row | {"example_id": "2"} | changes])


def test_predictions_round_trip(tmp_path):
    records.write_predictions(tmp_path, frame())
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "predictions.parquet"), frame(), check_dtype=False
    )


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (frame(example_id="1"), "twice"),
        (frame(score=np.nan), "finite"),
        (frame()[:0], "empty"),
        (frame().drop(columns="gold"), "columns"),
    ],
)
def test_bad_predictions_are_refused(tmp_path, bad, word):
    with pytest.raises(ValueError, match=word):
        records.write_predictions(tmp_path, bad)
    assert not list(tmp_path.iterdir())


def test_a_published_notebook_lacks_what_shows_texts_and_where_it_was(tmp_path):
    cells = [
        nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=text)])
        for source, text in (("one", "kept é"), ("two", "a text"), ("three", f"{Path.cwd()}/x"))
    ]
    cells.insert(1, nbformat.v4.new_markdown_cell("a page"))
    book, path = nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb"
    nbformat.write(book, path)
    plain = path.read_bytes().strip().replace(f"{Path.cwd()}/".encode(), b"")
    assert records.published_notebook(path) == plain and b"a text" in plain
    book.cells[2].metadata["tags"] = ["shows-texts"]
    book.cells[2].execution_count = 7
    nbformat.write(book, path)
    found = nbformat.reads(records.published_notebook(path).decode(), as_version=4)
    assert [cell.get("outputs") and cell.outputs[0].text for cell in found.cells] == [
        "kept é", None, [], "x"
    ]  # fmt: skip
    assert [cell.source for cell in found.cells] == ["one", "a page", "two", "three"]
    assert b"a text" in path.read_bytes(), "the study's own stays as it is"


def test_run_folders_are_one_a_run():
    keys = dict(intermediate="a", arm="dann", seed=3, target="t")
    assert str(records.run_folder("o", "s", "target", **keys)) == "o/s/target/t/a.dann/seed-3"
    assert (
        str(
            records.run_folder(
                "o", "s", "target", **(keys | {"arm": "none", "intermediate": "none"})
            )
        )
        == "o/s/target/t/none/seed-3"
    )
    assert (
        str(records.run_folder("o", "s", "intermediate", **keys))
        == "o/s/intermediate/a/dann/seed-3"
    )
    assert str(records.run_folder("o", "s", "prepare")) == "o/s/prepared"
    with pytest.raises(ValueError, match="phase"):
        records.run_folder("o", "s", "nothing")


def test_peak_memory_is_the_process_own():
    """A child of a large parent does not count what the parent held."""
    ballast = np.ones(60_000_000)  # 480 MB
    code = (
        "import numpy as np; from xgrl.runs.records import peak_memory_mb as m; a = m(); x = "
        "np.ones(25_000_000); print(a, m())"
    )
    before, after = map(
        float,
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split(),
    )
    assert before < 400 and 150 < after - before < 300 and ballast.any()


def test_a_notebook_shows_what_is_missing_without_a_traceback(tmp_path, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    for line in (
        "from xgrl.runs import records",
        "from xgrl.report.load_study import collect",
        f"records.read({str(tmp_path / 'prepared')!r})",
    ):
        shell.run_cell(line, store_history=False)
    shell.run_cell(f"collect({str(tmp_path / 'smoke')!r})", store_history=False)
    shown = capsys.readouterr().out
    assert shown.count("make smoke") == 2
    assert "Traceback" not in shown
    assert len(shown.splitlines()) == 2


@pytest.mark.parametrize(
    ("model", "flags", "kind"),
    [
        ("1", "fpu avx avx2 bmi1", "AMD EPYC (family 25, model 1, vectors avx2)"),
        ("17", "avx2 avx512f avx512dq", "AMD EPYC (family 25, model 17, vectors avx512f)"),
    ],
)
def test_processors_of_one_name_are_told_apart(monkeypatch, model, flags, kind):
    lines = (
        "cpu family\t: 25",
        f"model\t\t: {model}",
        "model name\t: AMD EPYC",
        f"flags\t\t: {flags}",
    )

    def information(path, name):
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")

    monkeypatch.setattr(records, "_proc", information)
    assert records._processor() == kind
    lines = ()
    assert "(" not in records._processor() and records._processor()
