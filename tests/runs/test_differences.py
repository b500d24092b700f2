"""What tells runs apart that should be alike is named, and what may differ is not."""

import json
from pathlib import Path

import pytest

from xgrl.execution.grid import parameters_of_runs
from xgrl.runs.differences import differences
from xgrl.runs.params import load_study
from xgrl.runs.study_files import read_study

ROOT = Path(__file__).resolve().parents[2]
PHASES = {"prepared": "prepare"}
REFERENCE = ROOT / "outputs" / "reference"


@pytest.fixture
def runs():
    """The records of a whole study, as far as they are compared."""
    files = (ROOT / "params" / f"{name}.yaml" for name in ("base", "smoke"))
    return {
        name: {
            "phase": PHASES.get(name, name.partition("/")[0]), "parameters": job,
            "versions": {"python": "3.11.7", "torch": "2.13.0"},
            "code": {"notebook": name[:2], "library": "ab"}, "environment": {"processor": "A"},
        }
        for name, job in parameters_of_runs(load_study(read_study(*files))).items()
    }  # fmt: skip


def test_a_study_s_own_runs_belong_together(runs):
    assert len(runs) == 36 and differences(runs.items()) == [] == differences([])


@pytest.mark.parametrize(
    ("name", "part", "change", "said"),
    [
        ("target/intent/none/seed-0", "versions", {"torch": "2.14.0"},
         "version of torch: 2.13.0 in 35 (first prepared), "
         "2.14.0 in 1 (first target/intent/none/seed-0)"),
        ("prepared", "versions", {"numpy": "2.0"}, "version of numpy: 2.0 in 1 (first prepared), "
         "none in 35 (first intermediate/sarcasm/standard/seed-0)"),
        ("probe/sarcasm/dann/seed-0", "code", {"library": "cd"},
         "code of probe: notebook pr and library ab in 3 (first probe/sarcasm/control/seed-0), "
         "notebook pr and library cd in 1 (first probe/sarcasm/dann/seed-0)"),
        ("intermediate/sarcasm/dann/seed-0", "code", {"notebook": "x"}, "code of intermediate: "),
        ("target/intent/none/seed-0", "parameters", {"warmup": 0.2}, "warmup of target, all runs: "
         "0.1 in 20 (first target/intent/none/seed-1), 0.2 in 1 (first target/intent/none/seed-0)"),
        ("target/intent/none/seed-0", "parameters", {"steps": 7}, "steps of target, intent: "),
        ("target/intent/none/seed-0", "parameters", {"train_from": "emoji-names"},
         "train_from of target, intent: "),
        ("intermediate/sarcasm/dann/seed-0", "parameters", {"lambda_max": 1.0},
         "lambda_max of intermediate, dann: "),
        ("intermediate/sarcasm/dann/seed-0", "parameters", {"learning_rate": 0.1},
         "learning_rate of intermediate, dann: "),
        ("intermediate/sarcasm/dann/seed-0", "parameters", {"steps": 7},
         "steps of intermediate, sarcasm, dann: "),
        ("target/intent/none/seed-0", "parameters", {"learning_rate": 0.1},
         "learning_rate of target, all runs: "),
        # the run's block has others; arm none has no block but its seed
        ("target/intent/sarcasm.dann/seed-1", "environment", {"processor": "B"},
         "processor of block sarcasm:1: "),
        ("target/intent/none/seed-0", "environment", {"processor": "B"},
         "processor of block none:0: A in 1 (first target/emoji-names/none/seed-0), B in 1"),
        ("target/intent/none/seed-1", "environment", {"processor": "B"}, ""),  # alone in its block
        ("prepared", "environment", {"processor": "B"}, ""),
        ("target/intent/none/seed-0", "parameters", {"outputs": "o", "keep_encoder": 1}, ""),
    ],
)  # fmt: skip
def test_one_run_that_differs_is_named(runs, name, part, change, said):
    runs[name] = runs.pop(name)  # the last one
    runs[name][part] = runs[name][part] | change
    found = differences(sorted(runs.items(), key=lambda run: run[0] != "prepared"))
    assert len(found) == bool(said) and all(sentence.startswith(said) for sentence in found), found


def test_two_records_of_01_agree_in_all_that_was_prepared(runs):
    prepared = runs["prepared"]
    other = prepared | {"parameters": prepared["parameters"] | {"intermediate": ["sarcasm"]}}
    assert differences([("a", prepared), ("b", prepared)]) == []
    (sentence,) = differences([("a", prepared), ("b", other)])
    assert sentence.startswith("intermediate of prepare, all runs: ")


def test_code_that_was_not_recorded_is_unknown(runs):
    old = {name: {k: v for k, v in run.items() if k != "code"} for name, run in runs.items()}
    assert differences(old.items()) == []
    found = differences([*runs.items(), *old.items()])
    assert len(found) == 4 and all(said.startswith("code of ") for said in found)
    assert "notebook unknown and library unknown in 21 (first target/" in found[2]


@pytest.mark.parametrize("study", ["laptop", "arms"])
def test_the_published_runs_belong_together(study):
    published = json.loads((REFERENCE / study / "runs.json").read_bytes())
    assert len(published) > 100 and differences(published.items()) == []
