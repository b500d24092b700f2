"""One job, one notebook: refused before it starts, or finished with its record, or failed with its
traceback kept.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock, Timeout

from xgrl.execution import checks, execute, kernels, placement
from xgrl.runs import params, records
from xgrl.runs.code import cells_hash


def notebook(folder: Path, *cells: str) -> Path:
    """A stand-in for 04_probe with the given cells after its parameters cell."""
    defaults = params.JOBS["04_probe"]().model_dump()
    first = nbformat.v4.new_code_cell(
        "\n".join(f"{k} = {v!r}" for k, v in defaults.items()), metadata={"tags": ["parameters"]}
    )
    nb = nbformat.v4.new_notebook(cells=[first, *(nbformat.v4.new_code_cell(c) for c in cells)])
    nb.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    path = folder / "04_probe.ipynb"
    nbformat.write(nb, path)
    return path


RECORD = """
from xgrl.runs import records
folder = records.run_folder(outputs, study, "probe", intermediate=intermediate, arm=arm, seed=seed)
started = records.start(folder, study)
fields = "study outputs intermediate arm seed probe_target threads".split()
parameters = {name: globals()[name] for name in fields}
records.finish(folder, phase="probe", parameters=parameters, metrics={}, started=started)
"""


def call(folder: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "xgrl.execution.execute",
        str(path),
        str(folder / "out.ipynb"),
        "-p",
        "outputs",
        str(folder / "outputs"),
    ]
    environment = os.environ | {"XGRL_WARM": "0"}
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, timeout=240
    )


@pytest.fixture
def record(tmp_path) -> Path:
    return tmp_path / "outputs/smoke/probe/sarcasm/dann/seed-3/run.json"


def test_a_finished_job(tmp_path, record):
    done = call(tmp_path, notebook(tmp_path, RECORD), "-p", "seed", "3")
    assert done.returncode == 0, done.stderr
    written = json.loads(record.read_text())
    assert written["parameters"]["seed"] == 3
    assert written["code"]["notebook"] == cells_hash(
        [{"cell_type": "code", "source": RECORD, "metadata": {}}]
    )
    assert str(record) in done.stdout


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([], "cells tagged 'parameters': none, expected one"),
        (["other"], "cells tagged 'parameters': none, expected one"),
        (
            ["parameters", "", "injected-parameters"],
            "cells tagged 'parameters': 1, and 'injected-parameters' elsewhere: 3, expected one",
        ),
        (["parameters", "parameters"], "cells tagged 'parameters': 1, 2, expected one"),
    ],
)
def test_a_notebook_without_one_parameters_cell_is_refused_before_a_kernel_starts(
    tmp_path, tags, said
):
    path = notebook(tmp_path, RECORD, "1")
    book = nbformat.read(path, as_version=4)
    for cell, tag in zip(book.cells, [*tags, "", "", ""], strict=False):
        cell.metadata.tags = [tag]
    nbformat.write(book, path)
    done = call(tmp_path, path, "-p", "seed", "1")
    assert done.returncode == 2 and done.stderr.startswith(f"refused: {path}: {said}"), done.stderr
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


CELL = '{"cell_type": "code"}'
NO_TAGS = '{"cell_type": "code", "metadata": {"tags": null}, "source": "", "outputs": []}'


def test_a_parameters_cell_of_text_and_a_file_that_is_no_notebook_are_refused(tmp_path):
    path = tmp_path / "04_probe.ipynb"
    cell = nbformat.v4.new_markdown_cell("seed = 0", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    with pytest.raises(checks.Refused, match=r"cells tagged 'parameters': 1, expected one cell of"):
        checks.check_notebook(path)
    cells = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [%s]}'
    for text in ("{", "[]", "{}", "null", cells % "1", cells % CELL, cells % NO_TAGS):
        path.write_text(text)
        with pytest.raises(checks.Refused, match=r"04_probe.ipynb: not a notebook"):
            checks.check_notebook(path)


def test_a_job_that_ran_other_parameters_than_asked_is_failed_and_leaves_no_record(
    tmp_path, record
):
    done = call(tmp_path, notebook(tmp_path, "threads = 2", RECORD), "-p", "seed", "3")
    assert done.returncode == 1 and "threads=2, asked 1" in done.stderr, done.stderr
    assert not record.exists() and (tmp_path / "out.ipynb").exists()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1 / 0", RECORD], "ZeroDivisionError"),
        (["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", RECORD], "died|killed|Died"),
        (["1"], "without writing"),
    ],
)
def test_a_failed_job_exits_1_and_keeps_its_notebook(tmp_path, record, cells, said):
    done = call(tmp_path, notebook(tmp_path, *cells), "-p", "seed", "3")
    assert done.returncode == 1
    assert any(word in done.stderr for word in said.split("|")), done.stderr
    assert (tmp_path / "out.ipynb").exists() and not record.exists()


def test_an_old_record_does_not_make_a_failed_job_look_finished(tmp_path, record):
    records.write_json(record, {"schema": 1, "study": "smoke"})
    done = call(tmp_path, notebook(tmp_path, "raise RuntimeError('no')"), "-p", "seed", "3")
    assert done.returncode == 1 and not record.exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sed", "3", ["sed", "did you mean 'seed'"]),
        ("seed", "1e3", ["seed", "1e3"]),
        ("arm", "dan", ["dan", "did you mean 'dann'"]),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("seed", "three", ["seed", "three"]),
                ("seed", "-1", ["seed", "-1"]),
                ("seed", "010", ["seed", "YAML reads 010 as 8"]),
                ("intermediate", "sarcam", ["did you mean 'sarcasm'"]),
                ("threads", "0", ["threads", "0"]),
            )
        ),
    ],
)
def test_a_mistake_is_refused_before_a_kernel_starts(tmp_path, name, value, words):
    done = call(tmp_path, notebook(tmp_path, RECORD), "-p", name, value)
    assert done.returncode == 2
    assert done.stderr.startswith("refused: ") and len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "out.ipynb").exists() and not (tmp_path / "outputs").exists()


def test_a_notebook_that_is_no_phase_of_the_study(tmp_path):
    path = notebook(tmp_path, RECORD).rename(tmp_path / "04_prob.ipynb")
    done = call(tmp_path, path)
    assert done.returncode == 2 and "04_probe" in done.stderr
    assert call(tmp_path, tmp_path / "nothing.ipynb").returncode == 2


def test_names_are_checked_against_the_source():
    (said,) = checks.wrong_names({"intermediate": ["sarcasm"], "sources": ["files"]})
    assert "sources=['files']; allowed: packages, fixture" in said


def test_a_gpu_that_is_not_there_is_refused_before_a_kernel_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    values = {"outputs": str(tmp_path / "outputs"), "device": "cuda"}
    with pytest.raises(
        checks.Refused, match=r"device='cuda': nvidia-smi lists no GPU here.*allowed here: cpu"
    ):
        execute.run("notebooks/02_intermediate.ipynb", tmp_path / "out.ipynb", values)
    assert not list(tmp_path.iterdir())


def test_a_gpu_is_held_while_the_notebook_runs(tmp_path, monkeypatch):
    import papermill

    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: Fake (UUID: GPU-fake)'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folder = tmp_path / f"xgrl-gpus-{os.getuid()}"
    seen = []

    def notebook_runs(*args, parameters, **options):
        with pytest.raises(Timeout), FileLock(folder / "GPU-fake.lock", timeout=0):
            pass
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        home = checks.folder_of("02_intermediate", parameters)
        records.finish(home, phase="intermediate", parameters=parameters, metrics={}, started=0.0)

    monkeypatch.setattr(papermill, "execute_notebook", notebook_runs)
    values = {"outputs": str(tmp_path / "outputs"), "device": "cuda"}
    record = execute.run("notebooks/02_intermediate.ipynb", tmp_path / "out.ipynb", values)
    assert seen == ["GPU-fake"] and "CUDA_VISIBLE_DEVICES" not in os.environ
    assert json.loads(record.read_text())["device"] == "cuda"
    with FileLock(folder / "GPU-fake.lock", timeout=0):
        pass


def test_rows_lost_are_told_where_the_job_ends(tmp_path, monkeypatch, capsys):
    record = tmp_path / "run.json"
    lost = "qa bn test: left out 108 answer not at its offset; 5 rows remain, 96% lost"
    record.write_text(json.dumps({"warnings": [lost, "x en test: left out 1 y; 9 rows remain"]}))
    monkeypatch.setattr(execute, "run", lambda *args, **options: record)
    monkeypatch.setattr(sys, "argv", ["execute", "notebooks/01_prepare.ipynb", "out.ipynb"])
    assert execute.main() == 0
    assert capsys.readouterr() == (f"{record}\n", f"{lost}\n")


DIED = "Kernel died before replying to kernel_info"


@pytest.mark.parametrize(
    ("home", "errors", "tries"),
    [
        (None, [DIED, DIED], 3),
        (None, [DIED] * 9, execute.TRIES),
        (None, ["Kernel died"], 1),
        ("/tmp", [DIED], 1),
    ],
)
def test_a_kernel_that_lost_its_port_to_another_is_started_again(
    home, errors, tries, tmp_path, monkeypatch
):
    import papermill

    started = []

    def notebook_runs(*args, parameters, **options):
        started.append(parameters)
        if len(started) <= len(errors):
            raise RuntimeError(errors[len(started) - 1])
        folder = checks.folder_of("02_intermediate", parameters)
        records.finish(folder, phase="intermediate", parameters=parameters, metrics={}, started=0.0)

    monkeypatch.setattr(papermill, "execute_notebook", notebook_runs)
    monkeypatch.setattr(kernels, "socket_home", lambda temporary: home)
    job = ("notebooks/02_intermediate.ipynb", tmp_path / "out.ipynb", {"outputs": str(tmp_path)})
    if tries > len(errors):
        assert execute.run(*job).exists()
    else:
        with pytest.raises(RuntimeError, match="Kernel died"):
            execute.run(*job)
    assert len(started) == tries


@pytest.mark.parametrize(
    "name, threads", [("02_intermediate", "threads"), ("01_prepare", "workers")]
)
def test_more_threads_than_cores_are_refused(name, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "cores", lambda: 3)
    with pytest.raises(
        checks.Refused, match=rf"{threads}=4: 3 cores are available.*allowed here: 1 to 3"
    ):
        execute.run(
            f"notebooks/{name}.ipynb",
            tmp_path / "out.ipynb",
            {"outputs": str(tmp_path / "outputs"), threads: 4},
        )
    assert not list(tmp_path.iterdir())


@pytest.fixture
def as_another_user(tmp_path):
    """The effective user is not the owner of the test's folder; as root only, who can become
    somebody.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for place in (tmp_path, *tmp_path.parents):
        if not place.stat().st_mode & 0o001 and place.is_relative_to(tempfile.gettempdir()):
            place.chmod(place.stat().st_mode | 0o055)
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("below", ["", "packages"])
def test_a_cache_of_somebody_else_is_refused_before_any_work(below, tmp_path, monkeypatch, request):
    cache = tmp_path / "cache"
    (cache / "packages").mkdir(parents=True)
    cache.chmod(0o777 if below else 0o755)
    monkeypatch.setenv("XGRL_CACHE", str(cache))
    request.getfixturevalue("as_another_user")
    with pytest.raises(
        checks.Refused,
        match=rf"cache {cache / below}: this user cannot write there .*root.*XGRL_CACHE",
    ):
        checks.check_machine("01_prepare", {})


@pytest.mark.parametrize(
    ("below", "message"),
    [
        ("outputs/mine/target", "outputs {}: .*root.* a folder of your own as outputs"),
        ("outputs", "outputs {}: .*root.* a folder of your own as outputs"),
        ("home/datasets", "cache of data sets {}: .*root.* a folder of your own in HF_HOME"),
    ],
)
def test_every_folder_that_a_job_writes_to_is_tried_before_the_first(
    below, message, tmp_path, monkeypatch, request
):
    import datasets

    (tmp_path / below).mkdir(parents=True)
    for name in ("cache", "home", "home/datasets", "outputs", "outputs/mine"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name).chmod(0o755 if name == below else 0o777)
    monkeypatch.setenv("XGRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home/datasets")
    if below == "outputs":
        (tmp_path / "outputs/mine").rmdir()
    values = {"outputs": str(tmp_path / "outputs"), "study": "mine", "sources": ["hub"]}
    request.getfixturevalue("as_another_user")
    with pytest.raises(checks.Refused, match=message.format(tmp_path / below)):
        checks.check_machine("01_prepare", values)
    checks.check_machine("03_target", values)  # the first job has looked


def test_data_sets_that_another_user_fetched_need_only_be_read(tmp_path, monkeypatch, request):
    import datasets

    shared = tmp_path / "datasets"
    for name in ("cache", "outputs", "datasets", "datasets/squad"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755 if name == "datasets/squad" else 0o777)
    monkeypatch.setenv("XGRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", shared)
    values = {"outputs": str(tmp_path / "outputs"), "study": "mine", "sources": ["hub"]}
    request.getfixturevalue("as_another_user")
    checks.check_machine("01_prepare", values)


def test_a_cache_that_is_a_file_is_refused_with_exit_status_2(tmp_path):
    (tmp_path / "cache").write_text("")
    command = [
        sys.executable,
        "-m",
        "xgrl.execution.execute",
        "notebooks/01_prepare.ipynb",
        str(tmp_path / "out.ipynb"),
    ]
    environment = os.environ | {"XGRL_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [*command, "-p", "outputs", str(tmp_path / "outputs")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        f"refused: cache {tmp_path / 'cache'}: this user cannot write there"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
