# The grid as a DAG: one job = one notebook = one folder with a run.json, written last.
#
#   snakemake --configfile params/base.yaml params/laptop.yaml --cores 2        (make study)
#
# Rules call `python -m xgrl.execution.execute` in the shell; the executed notebook is a log, so that it survives a failure. A job is its
# parameters and the code of its notebook: both are `params` here, so that changing either reruns what depends on it, and
# saving a notebook with outputs in it does not.
import json
import os
import shlex
import signal
import sys
from pathlib import Path

from xgrl.arms import checkpoint_of, method_of
from xgrl.execution.checks import check_dates, check_notebook, check_study
from xgrl.execution.grid import arms_with_texts, grid, lacking_weights, runs_of_part, shared_models
from xgrl.execution.placement import check_cores
from xgrl.prepare.parts import input_parts
from xgrl.runs import records
from xgrl.runs.code import cells_hash
from xgrl.runs.params import JOBS, OPTIONS
from xgrl.runs.study_files import read_study
from xgrl.tasks import OWN, mixture_parts

NOTEBOOKS = Path(workflow.basedir) / "notebooks"
try:
    CODE = {name: cells_hash(check_notebook(NOTEBOOKS / f"{name}.ipynb")) for name in JOBS}
    if workflow.is_main_process:
        read_study(*workflow.overwrite_configfiles)  # they are merged in config; here their YAML and their names are checked
    study = check_study(dict(config))
    asked = os.environ.get("XGRL_PART") if workflow.is_main_process else ""  # make study PART=..; no config: that is read as YAML
    PART = runs_of_part(study, asked) if asked else []
    S = study.scientific
    OWN_FILES = [str(file) for name in [*S.intermediate, *S.targets] if name in OWN for file in OWN[name].files]
    PLANS = [str(plan) for name in (f".{study.study}", "") if (plan := Path(f"params/analysis_plan{name}.md")).exists()]
    if workflow.is_main_process:  # a job's node may have another clock
        check_dates([*OWN_FILES, *PLANS])
    if workflow.is_main_process and workflow._cores:  # none are given where all jobs go to a cluster
        check_cores(max(1, workflow._cores // study.fixed.threads), study.fixed.threads)
except ValueError as error:
    sys.exit(f"refused: {error}")

# Options are no part of what a job is: jobs read them from here, and to set one reruns nothing.
os.environ["XGRL_OPTIONS"] = json.dumps(study.fixed.model_dump(include={*OPTIONS}))
signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # Slurm's warning is for the job, which ends by itself

ROOT = f"{study.outputs}/{study.study}"
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
THREADS = " ".join(f"{name}_NUM_THREADS={study.fixed.threads}" for name in LIBRARIES)  # a process, however many a job has
# `exec`: Snakemake itself is the job's parent, and a job never outlives it.
EXECUTE = f"{THREADS} exec {shlex.quote(sys.executable)} -m xgrl.execution.execute --with-parent --minutes {{resources.runtime}}"


def parameters(notebook):
    """The job's complete parameters as JSON, for `params:` (a function of the wildcards)."""

    def of(wildcards):
        keys = {k: int(v) if k == "seed" else v for k, v in dict(wildcards).items()}
        if "checkpoint" in keys:
            keys["intermediate"], _, arm = keys.pop("checkpoint").partition(".")
            keys["arm"] = arm or "none"
        method = method_of(keys["arm"]) if "arm" in keys else ""
        if notebook == "01_prepare":
            keys["arms"] = arms_with_texts(study)
        if notebook == "05_analysis":
            keys["design"] = study.model_dump(exclude={"fixed": {*OPTIONS}})
        return json.dumps({k: v for k, v in study.job(notebook, method, **keys).items() if k not in OPTIONS})

    return of


def run_of(phase, *names, seed):
    return f"{ROOT}/{phase}/{'/'.join(names)}/seed-{seed}/run.json"


def contents(phase, **of):
    """What a run reads of the prepared folder, as small files of hashes: one that is written anew but equal reruns nothing."""
    return [f"{ROOT}/prepared/contents/{part}.sha256" for part in input_parts(phase, study.fixed.trained_layers, **of)]


def read_in_training(wildcards):
    """The prepared texts of an intermediate run."""
    return contents("intermediate", tasks=mixture_parts(wildcards.intermediate, S.intermediate), arm=wildcards.arm)


def checkpoint_run(wildcards):
    """The run whose checkpoint a target starts from; none for the public encoder."""
    task, _, arm = wildcards.checkpoint.partition(".")
    return run_of("intermediate", task, checkpoint_of(arm), seed=wildcards.seed) if arm else []


def tested_run(wildcards):
    """The run of another target whose model this one is tested with; none where it is trained itself."""
    source = SHARED_MODELS.get(wildcards.target)
    return run_of("target", source, wildcards.checkpoint, seed=wildcards.seed) if source else []


def fine_tuned(wildcards):
    """The target run whose encoder is probed after fine-tuning."""
    w = wildcards
    return run_of("target", S.probe_target, f"{w.intermediate}.{w.arm}", seed=w.seed) if S.probe_target else []


# What the settings were selected by, where they were: its trials' own record, or the published one.
TUNED = [f"{ROOT}-tuning/tuning.json", f"outputs/reference/{study.study}/tuning/tuning.json"]
TUNED = list(filter(os.path.exists, TUNED))[:1]
RUNS, SHARED_MODELS = grid(study), shared_models(study)
INTERMEDIATE = [run_of("intermediate", task, arm, seed=seed) for task, arm, seed in RUNS.intermediate]
TARGET = [run_of("target", name, "none" if arm == "none" else f"{task}.{arm}", seed=seed) for name, task, arm, seed in RUNS.target]
PROBE = [run_of("probe", task, arm, seed=seed) for task, arm, seed in RUNS.probe]
# A run that came in a pack is no job: its marker stands for it, which no rule makes, so that neither times nor weights count.
ASKED = [*INTERMEDIATE, *TARGET, *PROBE]
PACKED = {run: f"{Path(run).parent}/{records.UNPACKED}" for run in ASKED if records.is_unpacked(Path(run).parent)}
wanted = PART or [str(Path(run).parent.relative_to(ROOT)) for run in ASKED]
if workflow.is_main_process and (lacking := lacking_weights(study, wanted)):
    sys.exit(f"refused: {lacking}")
COMPLETE = all(Path(run).exists() for run in ASKED)
PREPARED = f"{records.prepared_folder(ROOT) if COMPLETE else f'{ROOT}/prepared'}/run.json"
CONTENTS = {
    file
    for task, arm, _ in RUNS.intermediate
    for file in contents("intermediate", tasks=mixture_parts(task, S.intermediate), arm=arm)
}
CONTENTS |= {file for name, _, arm, _ in RUNS.target for file in contents("target", target=name, arm=arm)}
CONTENTS = sorted(CONTENTS.union(contents("probe")))
for sentence in RUNS.left_out:
    print(f"left out: {sentence}", file=sys.stderr)


wildcard_constraints:
    seed=r"\d+",
    task=r"[\w-]+",
    arm=r"[\w.-]+",
    target=r"[\w-]+",
    checkpoint=r"[\w-]+(\.[\w.-]+)?",


localrules:
    all,
    report,


rule all:
    input:
        f"{ROOT}/analysis/report.html",


if PART:

    rule part:  # some of the study's checkpoints with their targets and probes, no analysis
        localrule: True
        input:
            [PACKED.get(run, run) for run in (f"{ROOT}/{name}/run.json" for name in PART)],


rule prepare:
    input:
        OWN_FILES,
    output:
        f"{ROOT}/prepared/run.json",
        CONTENTS,
    log:
        f"{ROOT}/prepared/01_prepare.ipynb",
    params:
        job=parameters("01_prepare"),
        code=CODE["01_prepare"],
    threads: study.fixed.prepare_workers
    resources:
        mem_mb=study.fixed.memory_mb * 3 // 2,
        runtime=study.fixed.runtime_minutes,
    shell:
        EXECUTE + " {NOTEBOOKS:q}/01_prepare.ipynb {log:q} --json {params.job:q} -p workers {threads}"  # fewer, on fewer cores


rule intermediate:
    input:
        read_in_training,
    output:
        f"{ROOT}/intermediate/{{intermediate}}/{{arm}}/seed-{{seed}}/run.json",
    log:
        f"{ROOT}/intermediate/{{intermediate}}/{{arm}}/seed-{{seed}}/02_intermediate.ipynb",
    params:
        job=parameters("02_intermediate"),
        code=CODE["02_intermediate"],
    threads: study.fixed.threads
    resources:
        mem_mb=study.fixed.memory_mb,
        runtime=study.fixed.runtime_minutes,
        gpu=int(study.fixed.device == "cuda"),
    shell:
        EXECUTE + " {NOTEBOOKS:q}/02_intermediate.ipynb {log:q} --json {params.job:q}"


rule target:
    input:
        lambda w: contents("target", target=w.target, arm=w.checkpoint.partition(".")[2] or "none"),
        checkpoint_run,
        tested_run,
    output:
        f"{ROOT}/target/{{target}}/{{checkpoint}}/seed-{{seed}}/run.json",
    log:
        f"{ROOT}/target/{{target}}/{{checkpoint}}/seed-{{seed}}/03_target.ipynb",
    params:
        job=parameters("03_target"),
        code=CODE["03_target"],
    threads: study.fixed.threads
    resources:
        mem_mb=study.fixed.memory_mb,
        runtime=study.fixed.runtime_minutes,
        gpu=int(study.fixed.device == "cuda"),
    shell:
        EXECUTE + " {NOTEBOOKS:q}/03_target.ipynb {log:q} --json {params.job:q}"


rule probe:
    input:
        lambda w: contents("probe", arm=w.arm),
        lambda w: run_of("intermediate", w.intermediate, checkpoint_of(w.arm), seed=w.seed),
        fine_tuned,
    output:
        f"{ROOT}/probe/{{intermediate}}/{{arm}}/seed-{{seed}}/run.json",
    log:
        f"{ROOT}/probe/{{intermediate}}/{{arm}}/seed-{{seed}}/04_probe.ipynb",
    params:
        job=parameters("04_probe"),
        code=CODE["04_probe"],
    threads: study.fixed.threads
    resources:
        mem_mb=study.fixed.memory_mb,
        runtime=study.fixed.runtime_minutes,
    shell:
        EXECUTE + " {NOTEBOOKS:q}/04_probe.ipynb {log:q} --json {params.job:q}"


rule analysis:
    input:
        PLANS,
        TUNED,
        PREPARED,
        [PACKED.get(run, run) for run in ASKED],
    output:
        f"{ROOT}/analysis/run.json",
    log:
        f"{ROOT}/analysis/05_analysis.ipynb",
    params:
        job=parameters("05_analysis"),
        code=CODE["05_analysis"],
    threads: study.fixed.threads
    resources:
        mem_mb=study.fixed.memory_mb,
        runtime=study.fixed.runtime_minutes,
    shell:
        EXECUTE + " {NOTEBOOKS:q}/05_analysis.ipynb {log:q} --json {params.job:q}"


rule report:
    input:
        f"{ROOT}/analysis/run.json",
    output:
        f"{ROOT}/analysis/report.html",
    shell:
        "{sys.executable:q} -m xgrl.report.cli html {ROOT:q}/analysis"
