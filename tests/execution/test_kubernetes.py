"""The Kubernetes profile against a stand-in for kubectl, which runs a pod's command here: no
cluster is part of these tests.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
JOB = ROOT / "profiles/kubernetes/job"

KUBECTL = """#!{python}
import json, os, subprocess, sys, yaml
from pathlib import Path
state = Path(os.environ["STATE"])
action = sys.argv[1]
if action == "create":
    body = yaml.safe_load(sys.stdin)
    name = body["metadata"]["generateName"] + str(len(list(state.glob("*.json"))))
    (state / (name + ".json")).write_text(json.dumps(body))
    pod = body["spec"]["template"]["spec"]["containers"][0]
    env = os.environ | {{e["name"]: e["value"] for e in pod["env"]}}
    command = " ".join(pod["command"]) + "; echo $? > " + str(state / name)
    command = "( " + command + " ) >/dev/null 2>&1 &"
    subprocess.run(["sh", "-c", command], cwd=pod["workingDir"], env=env)
    print("job.batch/" + name)
elif action == "get":
    done = state / sys.argv[3]
    if done.exists():
        print("Complete" if done.read_text().strip() == "0" else "FailureTarget Failed", end="")
elif action == "delete":
    (state / "deleted").write_text(" ".join(a for a in sys.argv[3:] if not a.startswith("-")))
"""


@pytest.fixture
def cluster(tmp_path) -> dict[str, str]:
    """An environment in which kubectl is the stand-in."""
    for name in ("bin", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/kubectl").write_text(KUBECTL.format(python=sys.executable))
    (tmp_path / "bin/kubectl").chmod(0o755)
    own = {
        "STATE": str(tmp_path / "state"),
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    return os.environ | own | {"XGRL_IMAGE": "somewhere/xgrl", "XGRL_VOLUME": "xgrl"}


def job(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess:
    cwd = Path(environment["STATE"]).parent
    return subprocess.run(
        [JOB, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=cwd
    )


def test_a_job_asks_for_what_the_study_says_and_mounts_the_volume(cluster, tmp_path):
    (tmp_path / "script").write_text("echo done > result\n")
    name = job(cluster, "submit", 2, 32000, 2880, 1, tmp_path / "script").stdout.strip()
    (manifest,) = (yaml.safe_load(path.read_text()) for path in (tmp_path / "state").glob("*.json"))
    spec = manifest["spec"]
    assert (manifest["kind"], spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (
        "Job",
        0,
        2880 * 60,
    )
    (pod,) = spec["template"]["spec"]["containers"]
    assert pod["resources"]["limits"] == {"cpu": "2", "memory": "32000Mi", "nvidia.com/gpu": "1"}
    assert (pod["image"], pod["workingDir"], pod["command"]) == (
        "somewhere/xgrl",
        str(tmp_path),
        ["sh", str(tmp_path / "script")],
    )
    assert pod["volumeMounts"] == [{"name": "study", "mountPath": "/study"}]
    assert spec["template"]["spec"]["volumes"] == [
        {"name": "study", "persistentVolumeClaim": {"claimName": "xgrl"}}
    ]
    assert name == "xgrl-0"


@pytest.mark.parametrize("code, state", [(None, "running"), (0, "success"), (3, "failed")])
def test_what_kubernetes_says_of_a_job_is_what_snakemake_is_told(cluster, tmp_path, code, state):
    if code is not None:
        (tmp_path / "state/xgrl-0").write_text(str(code))
    assert job(cluster, "status", "xgrl-0").stdout.strip() == state


def test_jobs_are_cancelled_by_name(cluster, tmp_path):
    assert job(cluster, "cancel", "xgrl-1", "xgrl-2").returncode == 0
    assert (tmp_path / "state/deleted").read_text() == "xgrl-1 xgrl-2"


@pytest.mark.parametrize("name", ["XGRL_IMAGE", "XGRL_VOLUME"])
def test_what_is_not_said_is_asked_for(cluster, name, tmp_path):
    del cluster[name]
    done = job(cluster, "submit", 1, 1000, 10, 0, tmp_path / "script")
    assert done.returncode != 0 and name in done.stderr and not list((tmp_path / "state").iterdir())


def test_the_study_s_pod_may_do_what_its_jobs_need():
    claim, account, role, binding, study = yaml.safe_load_all(
        (ROOT / "profiles/kubernetes/study.yaml").read_text()
    )
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert role["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "delete"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    pod = study["spec"]["template"]["spec"]
    assert (
        pod["serviceAccountName"] == account["metadata"]["name"] == binding["subjects"][0]["name"]
    )
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


WORKFLOW = """
rule all:
    input: "last"
rule first:
    output: "first"
    resources: mem_mb=100, runtime=1
    shell: "if [ -e tried ]; then echo ok > {output}; else touch tried; exit 1; fi"
rule last:
    input: "first"
    output: "last"
    resources: mem_mb=100, runtime=1
    shell: "cp {input} {output}"
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None,
    reason="snakemake-executor-plugin-cluster-generic is not installed (requirements-cluster.txt)",
)
def test_snakemake_submits_waits_and_tries_again_with_this_profile(cluster, tmp_path):
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--workflow-profile",
        "profiles/kubernetes",
        "--seconds-between-status-checks",
        "1",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=cluster, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "last").read_text() == "ok\n"
    assert len(list((tmp_path / "state").glob("*.json"))) == 3  # first twice
