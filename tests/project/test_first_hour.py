"""The first hour: what `make` says to somebody whose machine lacks something, and an encoder of
one's own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from small_encoders import build
from xgrl.runs import records
from xgrl.tasks.sources.fixture import fixture_vocabulary

ROOT = Path(__file__).resolve().parents[2]
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def tools(tmp_path) -> Path:
    """A folder before everything else in PATH: a disk with 2.5 GB free, and a Python 3.11 whose pip
    reaches nothing.
    """
    program(tmp_path / "bin" / "df", "echo header; echo disk 1 1 2500000 1% /")
    unreachable = 'echo "no route to host" >&2; exit 1'
    pip = (
        f"mkdir -p $3/bin; printf '#!/bin/sh\\n{unreachable}\\n' > $3/bin/python; chmod +x "
        f"$3/bin/python"
    )
    program(tmp_path / "bin" / "python3.11", f'[ "$2" != venv ] || {{ {pip}; exit; }}\necho 1')
    return tmp_path / "bin"


def make(tools: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")} | {
        "PATH": f"{tools}:{os.environ['PATH']}"
    }
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=60
    )


@needs_make
def test_too_little_disk_is_said_before_anything_is_installed(tools, tmp_path):
    done = make(tools, "setup", f"VENV={tmp_path}/venv")
    assert done.returncode and "needs about 3 GB here, 2 GB are free" in done.stdout
    assert not (tmp_path / "venv").exists()


@needs_make
@pytest.mark.parametrize(("study", "stops"), [("arms", True), ("smoke", False)])
def test_too_little_disk_is_said_before_a_study(tools, study, stops):
    done = make(tools, "check-disk", f"STUDY={study}")
    assert bool(done.returncode) == stops
    assert (
        bool(
            re.search(
                rf"too little disk: study {study} needs about \d+ GB here, 2 GB are free;",
                done.stdout,
            )
        )
        == stops
    )
    assert not make(tools, "check-disk", f"STUDY={study}", "DISK=0").returncode


@needs_make
def test_what_a_study_has_written_counts_as_there(tools):
    program(tools / "du", "echo 36000000 outputs")
    assert not make(tools, "check-disk", "STUDY=arms").returncode


@needs_make
def test_a_df_that_says_nothing_stops_nobody(tools):
    program(tools / "df", "exit 1")
    assert not make(tools, "check-disk", "STUDY=arms").returncode


@needs_make
@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("", "outputs/mine"),
        ("outputs: /scratch/me\n", "/scratch/me/mine"),
        ("outputs: '../large'  # is large\n", "../large/mine"),
        ('"outputs" : &folder scratch', "scratch/mine"),
        ("note:\n  outputs: no\n", "outputs/mine"),
    ],
)
def test_make_looks_where_the_study_file_puts_its_outputs(line, folder, tmp_path):
    (tmp_path / "params").mkdir()
    shutil.copy(ROOT / "params/base.yaml", tmp_path / "params")
    (tmp_path / "params/mine.yaml").write_text(f"study: mine\n{line}")
    show = ["--eval", "show: ; @echo $(FOLDER) $(PREPARED)", "show", "STUDY=mine"]
    show += [f"VENV={ROOT}/.venv"]
    command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), *show]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [folder, f"{folder}/prepared/run.json"], done.stderr


@needs_make
@pytest.mark.parametrize("part", ["", "sarcasm.dann:0 none:0", "it's; $$(touch mark)"])
def test_make_asks_for_a_part_of_a_study_and_then_for_no_report(part, monkeypatch):
    monkeypatch.setenv("PART", "of somebody else's")
    show = ["--eval", 'show: ; @echo "$$XGRL_PART"', "show"]
    command = ["make", "--no-print-directory", *([f"PART={part}"] if part else [])]
    done = subprocess.run([*command, *show], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{part.replace('$$', '$')}\n", done.stderr
    command += ["-n", "study", "STUDY=smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    last = [line for line in done.stdout.splitlines() if "snakemake" in line][-1]
    assert ("snakemake part --configfile" in last) == bool(part)
    assert ("xgrl.report.cli summary" in done.stdout) != bool(part)
    said = "make report STUDY=smoke" if part else "analysis/report.html in a browser"
    assert said in done.stdout.splitlines()[-1] and "$(touch" not in done.stdout


@needs_make
def test_a_study_file_in_a_folder_is_refused(tools):
    done = make(tools, "check-jobs", "STUDY=./smoke")
    assert done.returncode and "STUDY=./smoke: no params/./smoke.yaml; allowed" in done.stdout


@needs_make
@pytest.mark.parametrize("study", ["reference", "..", "base", "smoke tests", ""])
def test_nothing_but_a_study_is_cleaned(tools, study):
    done = make(tools, "clean", f"STUDY={study}")
    assert done.returncode == 2 and f"STUDY={study}: no params/" in done.stdout
    assert "rm -rf" not in done.stdout


@needs_make
@pytest.mark.parametrize("outputs", ["my outputs", "~/outputs", "$(touch mark)", "it's"])
def test_a_folder_that_the_shell_would_read_otherwise_is_refused(tools, tmp_path, outputs):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    (tmp_path / "profiles/local").mkdir(parents=True)
    (tmp_path / "params/mine.yaml").write_text(f'study: mine\noutputs: "{outputs}"\n')
    show = ("-C", str(tmp_path), "-f", str(ROOT / "Makefile"), f"VENV={ROOT}/.venv")
    done = make(tools, *show, "clean", "STUDY=mine")
    assert done.returncode == 2 and "outputs of params/mine.yaml: make takes" in done.stdout
    assert "rm -rf" not in done.stdout and not (tmp_path / "mark").exists()


@needs_make
def test_all_wrong_variables_are_named(tools):
    done = make(tools, "check-jobs", "STUDY=nope", "PROFILE=", "DISK=much")
    assert done.returncode == 2 and not done.stderr.startswith("[")
    for said in ("STUDY=nope: no params/", "PROFILE=: no folder", "DISK=much: how many GB"):
        assert said in done.stdout


@needs_make
def test_no_network_is_explained_below_what_pip_says(tools, tmp_path):
    done = make(tools, "setup", f"VENV={tmp_path}/venv", "DISK=0")
    assert done.returncode
    assert "no route to host" in done.stderr
    assert "PIP_INDEX_URL names a mirror" in done.stdout
    assert not (tmp_path / "venv" / ".ready").exists()


@needs_make
def test_no_python_is_named(tools, tmp_path):
    done = make(tools, "setup", f"VENV={tmp_path}/venv", "PYTHON=python3.11-none")
    assert done.returncode and "python3.11-none not found: install Python 3.11" in done.stdout


@needs_make
def test_a_python_that_only_says_so_is_passed_over(tools, tmp_path):
    """As where a version manager puts a command for each version that it knows of."""
    nowhere = f"VENV={tmp_path}/venv"
    assert "PYTHON=python3.11\n" in make(tools, "help", nowhere).stdout
    program(tools / "python3.11", "echo 'python3.11: command not found'; exit 127")
    program(tools / "python3.12", f"shift; exec {sys.executable} -c 'raise SystemExit(1)'")
    program(tools / "python3.13", f'exec {sys.executable} "$@"')
    assert "PYTHON=python3.13\n" in make(tools, "help", nowhere).stdout
    done = make(tools, "setup", nowhere, "PYTHON=python3.12", "DISK=0")
    assert done.returncode and "python3.12 does not start, is none of Python 3.11" in done.stdout
    assert not (tmp_path / "venv").exists()


@needs_make
def test_help_names_every_command_and_where_to_begin(tools):
    text = make(tools, "help").stdout
    assert "first time: make smoke" in text
    for target in re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[0].split():
        assert target in ("check-names", "check-jobs", "check-disk") or f"make {target} " in text


@needs_make
def test_verify_without_published_results_says_which_there_are(tools):
    done = make(tools, "verify", "STUDY=smoke", f"--assume-old={'.venv/.ready'}")
    assert done.returncode
    assert "no published results to compare with; there are some of: arms laptop" in done.stdout


@pytest.mark.slow
def test_the_documented_encoder_of_ones_own_goes_through_the_phases(tmp_path):
    """A folder of save_pretrained with another architecture, named as docs/own.md names it."""
    section = (ROOT / "docs/own.md").read_text().split("## Your own encoder")[1].split("\n## ")[0]
    fixed = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.S).group(1))["fixed"]
    build("xlm-r").save_pretrained(tmp_path / "encoder")
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *fixture_vocabulary()][:900]
    backend = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    special = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=36, **special
    ).save_pretrained(tmp_path / "encoder")
    shared = {"outputs": str(tmp_path / "outputs"), "study": "mine"}
    small = {
        "train_rows": 60,
        "dev_rows": 20,
        "test_rows": 8,
        "retrieval_rows": 8,
        "unlabelled_rows": 20,
        "probe_rows": 5,
    }
    trained = {"trained_layers": fixed["trained_layers"], "encoder": str(tmp_path / "encoder")}
    for notebook, values in {
        "01_prepare": small
        | trained
        | {"intermediate": ["sarcasm"], "targets": ["intent"], "languages": ["en", "de"]},
        "02_intermediate": {"intermediate": "sarcasm", "arm": "dann", "steps": 5},
    }.items():
        command = [
            sys.executable,
            "-m",
            "xgrl.execution.execute",
            f"notebooks/{notebook}.ipynb",
            str(tmp_path / f"{notebook}.ipynb"),
        ]
        command += ["--json", json.dumps(shared | values)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "outputs/mine/intermediate/sarcasm/dann/seed-0"
    assert json.loads((run / "checkpoint/config.json").read_text())["model_type"] == "xlm-roberta"
    assert set(records.read(run)["environment"]) == {"processor", "packages_sha256"}
