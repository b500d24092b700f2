"""Cores and GPUs: never more threads than this process may run, one job a GPU, and a refusal that
says why.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock, Timeout

from xgrl.execution import placement

ROOT = Path(__file__).resolve().parents[2]
MANY = 64


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MANY)), raising=False)


def machine(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A folder that looks like / of a machine with these control groups."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1 += "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize("files, expected", [
    ({"sys/fs/cgroup/a/b/cpu.max": "max 100000"}, MANY),
    ({"sys/fs/cgroup/a/b/cpu.max": "350000 100000"}, 3),  # whole cores
    ({"sys/fs/cgroup/a/b/cpu.max": "20000 100000"}, 1),  # one thread runs all the same
    # outer
    ({"sys/fs/cgroup/a/cpu.max": "200000 100000", "sys/fs/cgroup/a/b/cpu.max": "800000 100000"}, 2),
    ({"sys/fs/cgroup/a/cpu.max": "800000 100000", "sys/fs/cgroup/a/b/cpu.max": "200000 100000"}, 2),
    ({"sys/fs/cgroup/other/cpu.max": "100000 100000"}, MANY),
    ({}, MANY),
])  # fmt: skip
def test_quotas_of_nested_groups_v2(tmp_path, many_cores, files, expected):
    assert placement.cores(machine(tmp_path, "0::/a/b\n", V2, files)) == expected


@pytest.mark.parametrize("mounted, path", [("/", "/docker/x"), ("/docker/x", "")])
@pytest.mark.parametrize("quota, expected", [("-1", MANY), ("150000", 3)])
def test_quotas_v1_seen_from_the_machine_and_from_inside_a_container(
    tmp_path, many_cores, mounted, path, quota, expected
):
    folder = f"sys/fs/cgroup/cpu,cpuacct{path}/inner"
    files = {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "50000\n"}
    groups = "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x/inner\n0::/\n"
    assert placement.cores(machine(tmp_path, groups, V1.format(root=mounted), files)) == expected


def test_affinity_counts_and_no_control_groups_are_no_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert placement.cores(tmp_path) == 3
    assert (
        placement.cores(
            machine(tmp_path, "0::/a\n", V2, {"sys/fs/cgroup/a/cpu.max": "800000 100000"})
        )
        == 3
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity on this platform")
def test_this_process_confined_to_one_core():
    code = f"import os, runpy; os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}}); {RUN}"
    environment = os.environ | {"OMP_NUM_THREADS": "9"}  # which nproc would believe
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "1", done.stderr


RUN = f"runpy.run_path({str(ROOT / 'lib/xgrl/execution/placement.py')!r}, run_name='__main__')"


def test_jobs_times_threads_never_exceed_the_cores():
    for available in range(1, 9):
        for jobs in range(0, 10):
            for threads in range(1, 10):
                if 1 <= jobs * threads <= available:
                    assert placement.check_cores(jobs, threads, available) == jobs * threads
                else:
                    with pytest.raises(ValueError, match="cores are available"):
                        placement.check_cores(jobs, threads, available)


@pytest.mark.parametrize(
    "jobs", ["0", "-1", "", "two", "1.5", "1e3", "2; ls", "٣", str(MANY + 1), "9" * 30]
)
def test_jobs_that_are_refused_by_make(jobs):
    command = ["make", "check-jobs", f"JOBS={jobs}", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("refused: JOBS=")
    assert f"JOBS={jobs}"[:12] in done.stderr
    assert "allowed" in done.stderr


def test_threads_of_the_study_count(tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "cores", lambda: 4)
    monkeypatch.setattr(placement, "gpus", lambda: [])
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    base.write_text("fixed: {threads: 1}\n")
    own.write_text("study: own\n")
    assert placement.options("4", [str(base), str(own)]) == "--cores 4"
    own.write_text("fixed: {threads: 2}\n")
    assert placement.options("2", [str(base), str(own)]) == "--cores 4"
    with pytest.raises(
        ValueError, match=r"JOBS=3 with 2 threads a job: 4 cores .* allowed JOBS: 1 to 2"
    ):
        placement.options("3", [str(base), str(own)])
    own.write_text("fixed: {threads: 8}\n")
    with pytest.raises(ValueError, match="allowed JOBS: none"):
        placement.options("1", [str(base), str(own)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study: mini\n", "own.yaml: study is 'mini', but must be the file's name"),
        ("fixed: {threads: 1}\nfixed: {device: cpu}\n", "key 'fixed' stands twice"),
        ("fixed: {threads: 01}\n", "line 1: YAML reads 01 as 1"),
        ("fixed: [\n", "own.yaml: not YAML"),
    ],
)
def test_a_study_file_is_read_strictly_before_anything(tmp_path, capsys, text, said):
    (tmp_path / "own.yaml").write_text(text)
    assert placement.main(["1", str(tmp_path / "own.yaml")]) == 2
    out, problem = capsys.readouterr()
    assert not out and problem.startswith("refused: ") and said in problem
    assert problem.count("\n") == 1


TWO = (
    "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\nGPU 1: "
    "NVIDIA A100 (UUID: GPU-bbbb)\n"
)


@pytest.fixture
def listing(tmp_path, monkeypatch):
    """A machine on which nvidia-smi prints what it is told to."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def lists(text: str) -> None:
        (folder / "nvidia-smi").write_text(
            f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{text}END\n"
        )
        (folder / "nvidia-smi").chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    lists(TWO)
    return lists


@pytest.mark.parametrize("visible, expected", [
    (None, ["GPU-aaaa", "GPU-bbbb"]), ("1", ["GPU-bbbb"]), ("1,0", ["GPU-bbbb", "GPU-aaaa"]),
    ("", []), ("-1", []), ("0,7,1", ["GPU-aaaa"]), ("GPU-bbbb", ["GPU-bbbb"]),
])  # fmt: skip
def test_which_gpus_there_are(listing, monkeypatch, visible, expected):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert placement.gpus() == expected


def test_no_gpu_is_refused(listing, tmp_path):
    listing("No devices were found\n")
    with (
        pytest.raises(ValueError, match="lists no GPU here; allowed here: cpu"),
        placement.one_gpu(tmp_path),
    ):
        pass


class Waited(Exception):
    """Every GPU was taken, and it would have waited."""


def waited(seconds: float) -> None:
    raise Waited(seconds)


def test_each_job_gets_a_gpu_of_its_own_and_gives_it_back(listing, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with placement.one_gpu(tmp_path) as first:
        assert first == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with placement.one_gpu(tmp_path) as second:
            assert second == "GPU-bbbb"
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
            monkeypatch.setattr(placement, "time", SimpleNamespace(sleep=waited))
            with pytest.raises(Waited), placement.one_gpu(tmp_path):
                pass
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
        with placement.one_gpu(tmp_path) as again:
            assert again == "GPU-bbbb"


def test_locks_of_a_killed_process_are_free_at_once(listing, tmp_path):
    code = (
        "import sys, time; from xgrl.execution import placement\n"
        "with placement.one_gpu(sys.argv[1]) as device: print(device, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline().strip() == "GPU-aaaa"
        with pytest.raises(Timeout), FileLock(tmp_path / "GPU-aaaa.lock", timeout=0):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / "GPU-aaaa.lock").exists()  # stale, and nobody's
        with placement.one_gpu(tmp_path) as device:
            assert device == "GPU-aaaa"
