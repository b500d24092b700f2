"""The worst hour of a long run, with real processes: killed, full, read-only, damaged, late,
doubled, interrupted.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

from faults.kill import ROOT, SMALL, Running, disturbed, undisturbed
from xgrl.prepare.folder import Prepared
from xgrl.report.load_study import collect
from xgrl.runs import cache

pytestmark = [
    pytest.mark.faults,
    pytest.mark.grid,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="finds the processes of a study in /proc"
    ),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A small study that nobody disturbed; tests work on copies."""
    folder = tmp_path_factory.mktemp("undisturbed")
    undisturbed(folder, SMALL)
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "study", symlinks=True)
    return tmp_path / "study"


@pytest.fixture
def study(tmp_path):
    """A function that makes a study in a folder; what it left running is ended."""
    made = []

    def make(folder: Path) -> Running:
        made.append(Running(folder, SMALL))
        return made[-1]

    yield make
    for each in made:
        each.close()


def until(condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_killed_at_random_moments_and_resumed(whole, tmp_path):
    found = disturbed(tmp_path, 4, random.Random(1), SMALL, (0.2, 4.0))
    assert found["kills"].total() == 4
    expected = {
        str(path.relative_to(whole / "outputs/smoke")): path.read_bytes()
        for path in whole.rglob("predictions.parquet")
    }
    assert found["predictions"] == expected and len(expected) > 4
    assert [found[name] for name in ("rerun", "damaged", "left", "litter")] == [[], [], [], []]


def test_ctrl_c_ends_every_process(whole, study, tmp_path):
    running = study(tmp_path / "study")
    running.start()
    assert until(lambda: running.processes()["kernel"], 120)
    os.killpg(running.process.pid, signal.SIGINT)  # what a terminal does
    assert running.process.wait(timeout=60) != 0
    assert running.left() == []
    assert not list(running.place.glob("xgrl-kernel-*"))


def test_the_clock_goes_backwards(copy, study):
    """Times of files alone rerun nothing: prepared data from the future, results from the past."""
    later, earlier = time.time() + 86400, time.time() - 864000
    for path in (copy / "outputs").rglob("*"):
        moment = later if "prepared" in path.parts else earlier
        os.utime(path, (moment, moment))
    running = study(copy)
    assert running.start("--dry-run").wait(timeout=120) == 0
    said = running.log.read_text().rpartition("Building DAG")[2]
    assert "Nothing to be done" in said, said[-2000:]


def execute(
    folder: Path, cells: list[str], *arguments: str, before: str = "", **values
) -> subprocess.CompletedProcess:
    """`xgrl.execution.execute` on a notebook of these cells, in a process of its own."""
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in ["", *cells]]
    )
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }
    folder.mkdir(exist_ok=True)
    nbformat.write(book, folder / "02_intermediate.ipynb")
    values = {"outputs": str(folder / "outputs")} | values
    command = [
        sys.executable,
        "-m",
        "xgrl.execution.execute",
        str(folder / "02_intermediate.ipynb"),
        str(folder / "out.ipynb"),
    ]
    command += ["--json", json.dumps(values), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib"), "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300
    )


def test_a_cell_that_hangs_is_stopped(tmp_path):
    done = execute(tmp_path, ["import time\ntime.sleep(600)"], "--minutes", "0.02")
    assert done.returncode == 1
    assert "a cell ran longer than 0.02 minutes and was stopped" in done.stderr


def test_a_job_out_of_memory_is_reported_as_that(tmp_path):
    done = execute(tmp_path, ["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"])
    assert done.returncode == 1
    assert "killed by signal 9 (SIGKILL), usually out of memory" in done.stderr
    limited = (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\nx = "
        "bytearray(8 << 30)"
    )
    done = execute(tmp_path, [limited])
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
    assert "out of memory; fewer jobs at once" in done.stderr


def test_a_job_ends_with_its_parent(tmp_path, study):
    running = study(tmp_path / "study")
    running.start()
    assert until(lambda: running.processes()["kernel"], 120)
    running.process.kill()
    assert until(lambda: not any(running.processes()[name] for name in ("papermill", "kernel")), 20)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


WRITE = (
    "from xgrl.runs import records\nrecords.write_bytes(outputs + '/smoke/large.bin', b'x' * {})"
)


def test_a_full_disk_is_named_and_leaves_nothing_in_part(small_disk, tmp_path):
    values = {"outputs": str(small_disk)}
    done = execute(
        tmp_path / "notebook", [f"outputs = {str(small_disk)!r}\n" + WRITE.format(10**6)], **values
    )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "the disk is full; make room" in done.stderr
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []


def test_outputs_that_cannot_be_written_are_named(small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = execute(
        tmp_path / "notebook",
        [f"outputs = {str(small_disk)!r}\n" + WRITE.format(9)],
        outputs=str(small_disk),
    )
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr and "make the folder writable" in done.stderr


def flip(path: Path, rng: np.random.Generator) -> None:
    """One bit of a file, changed in a new file of that name."""
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.unlink()  # it may have other names, as in the cache
    path.write_bytes(data)


READ = {  # who reads a kind of file
    "outputs/smoke/prepared/run.json": lambda s: Prepared.of(s / "outputs", "smoke"),
    "outputs/smoke/prepared/encoder/*": lambda s: Prepared.of(s / "outputs", "smoke"),
    "outputs/smoke/prepared/*_texts.parquet": lambda s: Prepared.of(s / "outputs", "smoke"),
    "outputs/smoke/prepared/intermediate/sarcasm/train/*": lambda s: corpus(
        s, "intermediate/sarcasm/train"
    ),
    "outputs/smoke/prepared/target/intent/test-de/*": lambda s: corpus(s, "target/intent/test-de"),
    "outputs/smoke/intermediate/sarcasm/dann/seed-0/checkpoint/*": lambda s: checkpoint(s),
    "outputs/smoke/intermediate/sarcasm/dann/seed-0/run.json": lambda s: checkpoint(s),
    "outputs/smoke/intermediate/sarcasm/dann/seed-0/curves.csv": lambda s: collect(
        s / "outputs/smoke"
    ),
    "outputs/smoke/target/intent/*/seed-0/predictions.parquet": lambda s: collect(
        s / "outputs/smoke"
    ),
    "outputs/smoke/target/intent/*/seed-0/run.json": lambda s: collect(s / "outputs/smoke"),
    "outputs/smoke/probe/sarcasm/dann/seed-0/*.csv": lambda s: collect(s / "outputs/smoke"),
    "outputs/smoke/prepared/languages.csv": lambda s: collect(s / "outputs/smoke"),
}


def corpus(study: Path, name: str):
    return Prepared.of(study / "outputs", "smoke").corpus(name)


def checkpoint(study: Path):
    return Prepared.of(study / "outputs", "smoke").verify_run(
        study / "outputs/smoke/intermediate/sarcasm/dann/seed-0"
    )


@pytest.mark.parametrize("pattern", READ)
def test_a_flipped_bit_is_found_where_the_file_is_read(copy, pattern):
    rng, damaged = np.random.default_rng(7), 0
    READ[pattern](copy)
    for path in sorted(copy.glob(pattern)):
        if not path.is_file():
            continue
        good = path.read_bytes()
        for _ in range(5):
            flip(path, rng)
            with pytest.raises(
                ValueError, match=r"delete .*run.json.* and say make study again"
            ) as refused:
                READ[pattern](copy)
            assert str(path) in str(refused.value)
            damaged += 1
            path.write_bytes(good)
        path.unlink()
        if path.name != "run.json":
            with pytest.raises(ValueError, match="not there"):
                READ[pattern](copy)
        path.write_bytes(good)
    assert damaged
    READ[pattern](copy)


def test_a_damaged_table_of_the_cache_is_made_anew(tmp_path, monkeypatch, capsys):
    import pyarrow as pa

    monkeypatch.setenv("XGRL_CACHE", str(tmp_path))
    built, rng = [], np.random.default_rng(3)

    def build() -> pa.Table:
        built.append(1)
        return pa.table({"id": [f"e{i}" for i in range(200)], "label": list(range(200))})

    table = cache.cached_table("some-rows", build)
    assert cache.cached_table("some-rows", build) == table and len(built) == 1
    file = next((tmp_path / "rows").glob("*.parquet"))
    for count in range(20):
        flip(file, rng)
        assert cache.cached_table("some-rows", build) == table and len(built) == count + 2
        assert f"{file} is damaged and is made anew" in capsys.readouterr().err
    file.write_bytes(file.read_bytes()[:100])
    assert cache.cached_table("some-rows", build) == table


def test_a_damaged_run_stops_the_study_and_says_what_to_do(copy, study):
    """Through Snakemake: the analysis reads a damaged file, says so, and what it advises makes the
    file again.
    """
    base = copy / "outputs/smoke"
    shutil.rmtree(base / "analysis")
    run = base / "target/intent/sarcasm.dann/seed-1"
    good = (run / "predictions.parquet").read_bytes()
    flip(run / "predictions.parquet", np.random.default_rng(2))
    running = study(copy)
    assert running.start("--retries", "0").wait(timeout=200) == 1
    said = running.log.read_text()
    place = run.relative_to(copy)
    assert f"{place}/predictions.parquet is damaged" in said
    assert f"delete {place}/run.json and say make study again" in said
    (run / "run.json").unlink()
    assert running.start(f"{place}/run.json").wait(timeout=300) == 0
    assert (run / "predictions.parquet").read_bytes() == good


def test_a_second_make_study_refuses(tmp_path):
    """The Makefile's own recipe, in a copy of the folder with another environment's lock."""
    if not shutil.which("make") or not shutil.which("flock"):
        pytest.skip("make or flock is not here")
    for name in (
        "lib",
        "params",
        "profiles",
        "notebooks",
        "Snakefile",
        "Makefile",
        "pyproject.toml",
    ):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("requirements.txt", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    venv = tmp_path / ".venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):  # without the last it would have no packages
        (venv / name).symlink_to(Path(sys.prefix) / name)
    (venv / ".ready").touch()
    command = ["make", "-C", str(tmp_path), "study", "STUDY=smoke", "VENV=.venv"]
    place = Path(tempfile.mkdtemp(prefix="xf"))
    environment = os.environ | {"TMPDIR": str(place), "XGRL_WARM_IDLE": "1"}
    first = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    running = Running.__new__(Running)
    running.place = place
    try:
        assert until(lambda: running.processes()["snakemake"], 60)
        second = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120
        )
        assert second.returncode and "another make study is running in this folder" in second.stdout
        # make and flock killed: Snakemake itself still holds the lock
        for process in running.processes()["other"]:
            process.kill()
        first.kill()
        second = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120
        )
        assert second.returncode and "another make study is running in this folder" in second.stdout
    finally:
        running.close()
        first.wait()
