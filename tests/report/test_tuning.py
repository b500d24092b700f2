"""From trials to the settings in a study file: stages, parts, what is said, what is written.

The trials' records are made up here; tests/project/test_tuning_run.py trains some.
"""

import json
import re
import time
from copy import deepcopy
from functools import cache
from itertools import cycle
from pathlib import Path

import pandas as pd
import pytest
import yaml

from xgrl.execution.checks import Refused
from xgrl.execution.grid import parameters_of_runs
from xgrl.report import cli, packs, reference, tuning
from xgrl.runs import records, study_files
from xgrl.runs.code import KINDS
from xgrl.runs.params import load_study
from xgrl.runs.study_files import find_study

ROOT = Path(__file__).resolve().parents[2]
PARSED = cache(study_files.parse)
STUDY = """# a comment of the user's
study: mine
scientific:
  intermediate: [sarcasm]
  arms: [none, standard, control, dann]
  targets: [intent, emoji-names]
  languages: [en, de, es]
  seeds: [0, 1]       # another one
  probe_seeds: [0, 1]
nuisance:
  intermediate: {steps: {default: 60, sarcasm: 50}}
tuning:
  seeds: [100, 101]
  languages: [it]
  intermediate: [sarcasm, question-type]
  targets: [intent]
  second_seeds: [1]
  arms:
    dann: {lambda_max: [0.05, 0.2]}
    standard: {learning_rate: [1.0e-3], steps: [40, 80]}
fixed: {encoder: tiny, sources: [fixture], train_rows: {default: 300, emoji-names: 200}}
"""
STANDARD = ["standard-lr0.001-steps40", "standard-lr0.001-steps80"]
DANN = ["dann-lambda0.05", "dann-lambda0.2"]
# english, development, language, rank, gap
GOOD = {
    "none": (50, 40, 0, 0, 0), STANDARD[0]: (60, 44, 95, 100, 0.30),
    STANDARD[1]: (60.5, 45, 90, 100, 0.30), DANN[0]: (60, 46, 80, 95, 0.31),
    DANN[1]: (60, 41, 40, 95, 0.32),
}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A project's root with a study that has a block tuning."""
    (tmp_path / "params").mkdir()
    base = (ROOT / "params/base.yaml").read_text()
    (tmp_path / "params/base.yaml").write_text(base)
    (tmp_path / "params/mine.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    # the same for all, and slow to find out each time
    monkeypatch.setattr(study_files, "parse", lambda *given: deepcopy(PARSED(*given)))
    monkeypatch.setattr(records, "code_of", lambda phase: dict.fromkeys(KINDS, phase))
    monkeypatch.setattr(records, "_versions", lambda: {"torch": "2"})
    return tmp_path


def run(parts: list[str], values: dict = GOOD) -> None:
    """What `make study STUDY=mine-tuning PART=..` leaves, with scores by trial."""
    design, folder = find_study("mine-tuning"), Path("outputs/mine-tuning")
    jobs, runs = parameters_of_runs(load_study(design)), packs.parts_of(design)
    for name in ("prepared", *(name for part in parts for name in runs[part])):
        job, phase = jobs[name], name.split("/")[0].replace("prepared", "prepare")
        english, development, language, rank, gap = values.get(job.get("arm"), [0] * 5)
        shift = (job.get("seed", 0) - 100.5) * 2  # seeds differ, their mean does not
        metrics = {"contents": {}}
        if phase == "target":
            metrics = {"dev_accuracy": english + shift, "macro": development + shift}
        if phase == "probe":
            # the better of two probes counts
            metrics = {"accuracy": language - 5, "mlp": language, "chance": 25.0, "rank": rank}
            table = pd.DataFrame({"stage": ["public", "intermediate", "intermediate"]})
            table = table.assign(layer=[2, 1, 2], gap=[0.9, 0.9, gap])
            records.write(folder / name / "parallel.csv", table.to_csv)
        about = {"parameters": job, "metrics": metrics, "started": time.monotonic() - 1}
        records.finish(folder / name, phase=phase, inputs={}, **about)


def tune(values: dict = GOOD) -> list[str]:
    """All of `make tune`; what it says at its end."""
    for stage in (1, 2):
        run(tuning.next_parts("mine", stage, "")[0], values)
    return tuning.finish("mine")


def parts_of(trials: list[str]) -> set[str]:
    cells = [(task, seed) for task in ("sarcasm", "question-type") for seed in (100, 101)]
    return {f"{task}.{trial}:{seed}" for trial in trials for task, seed in cells}


def test_the_baseline_comes_first_and_the_others_have_its_settings(home):
    first, said = tuning.next_parts("mine", 1, "")
    assert {*first} == parts_of(STANDARD) | {"none:100", "none:101"} and not said
    waiting, (reason,) = tuning.next_parts("mine", 2, "")
    assert not waiting and "the baseline's trials come first" in reason
    run(first[1:])
    assert tuning.next_parts("mine", 2, "")[1][0].endswith(f"missing: {first[0]}")
    run(first[:1])
    before = parameters_of_runs(load_study(find_study("mine-tuning")))
    second, (gate,) = tuning.next_parts("mine", 2, "")
    assert {*second} == parts_of(DANN)
    assert gate.startswith("gate: 2 of 2 pairs pass") and "sarcasm to intent +5.0" in gate
    after = parameters_of_runs(load_study(find_study("mine-tuning")))
    for name, job in after.items():
        if "standard" in name or "none" in name or name == "prepared":
            assert job == before[name]  # no trial that is there is run again
        elif name.startswith("intermediate"):
            assert job["steps"] == 80  # the choice for standard
    assert [name for name in ("mine", "mine-tuning") if Path("outputs", name).exists()] == [
        "mine-tuning"
    ]


def test_trials_are_in_the_grid_of_another_study_on_development_languages(home):
    tuning.next_parts("mine", 1, "")
    study = load_study(find_study("mine-tuning"))
    assert study.scientific.languages == ["en", "it"] and study.scientific.seeds == [100, 101]
    assert study.scientific.targets == ["intent"] and study.fixed.train_rows == {"default": 300}
    assert "intermediate/question-type/dann-lambda0.2/seed-100" in parameters_of_runs(study)


def test_a_part_is_of_the_stage_or_waits(home):
    asked = f"none:100 sarcasm.{STANDARD[0]}:101 sarcasm.{DANN[0]}:100"
    run(tuning.next_parts("mine", 1, asked)[0])
    assert {*tuning.next_parts("mine", 1, asked)[0]} == {*asked.split()[:2]}
    assert not tuning.next_parts("mine", 2, asked)[0]
    run(tuning.next_parts("mine", 1, "")[0])
    assert tuning.next_parts("mine", 2, asked)[0] == asked.split()[2:]
    assert {*tuning.next_parts("mine", 2, "sarcasm:101")[0]} == {
        f"sarcasm.{trial}:101" for trial in DANN
    }
    with pytest.raises(ValueError, match="'qa' is no intermediate task"):
        tuning.next_parts("mine", 1, "qa:0")
    (missing,) = tuning.finish("mine")
    assert missing.startswith("8 parts are missing") and "tuned" not in find_study("mine")


def test_what_was_selected_is_in_the_study_file_and_its_comments_stay(home):
    said = tune()
    text = (home / "params/mine.yaml").read_text()
    assert text.startswith(STUDY)
    study = load_study(find_study("mine"))
    s = study.scientific
    assert s.arms == ["none", "standard", "control", "dann", "dann-dev"] and not s.baselines
    assert s.seeds == {"default": [0, 1], "dann-dev": [1]}
    for arm in ("standard", "control", "dann", "dann-dev"):
        job = study.job(
            "02_intermediate", arm.removesuffix("-dev"), intermediate="sarcasm", arm=arm, seed=0
        )
        assert (job["steps"], job["learning_rate"]) == (80, 1e-3), arm  # standard's choice
    strength = study.nuisance.lambda_max
    assert (strength["dann"], strength["dann-dev"], strength["mlm"]) == (0.2, 0.05, 0.1)
    assert strength["default"] == 0.2  # control has the treatment's discriminator
    assert f"dann: {DANN[1]}, second selector {DANN[0]}" in said
    digest = records.hash_file("outputs/mine-tuning/tuning.json")
    assert digest[:16] in text
    # again, and after an edit of the rest: the same block, once
    tuning.finish("mine")
    assert (home / "params/mine.yaml").read_text() == text
    edited = text.replace("seeds: [0, 1] ", "seeds: [0, 1, 2] ")
    (home / "params/mine.yaml").write_text(edited + "calibration_draws: 3\n")
    tuning.finish("mine")
    again = (home / "params/mine.yaml").read_text()
    assert again == edited + "calibration_draws: 3\n"
    assert load_study(find_study("mine")).scientific.seeds["default"] == [0, 1, 2]


def test_a_baseline_that_the_second_selector_chose_otherwise_is_compared_with_its_own(home):
    tune(GOOD | {STANDARD[0]: (60, 47, 95, 100, 0.30)})
    study = load_study(find_study("mine"))
    assert study.scientific.baselines == {"dann-dev": "standard-dev"}
    assert {"standard-dev", "dann-dev"} <= {*study.scientific.arms}
    steps = study.nuisance.intermediate.steps
    # the pair has the same labelled batches
    assert (steps["standard-dev/default"], steps["dann-dev/default"]) == (40, 40)
    assert (steps["standard/default"], steps["dann/default"]) == (80, 80)


def test_a_strength_of_an_arm_s_own_keeps_the_dose_that_it_was_given_for(home):
    config = find_study("mine") | {"study": "other"}
    config["scientific"] |= {"arms": ["none", "standard", "control", "dann", "dann-0.01", "wdgrl"]}
    config["nuisance"]["lambda_max"] |= {"dann-0.01": 0.01}
    made = object.__new__(tuning.Tuning)
    made.study, made.baseline = load_study(config), "standard"
    made.arms = {"standard": {"a": {"learning_rate": 1e-3}}, "dann": {"b": {"dose": "ratio"}}}
    chosen = {"standard": "a", "dann": "b"}
    made.result = {
        "chosen": {arm: dict.fromkeys(("first", "second"), t) for arm, t in chosen.items()}
    }
    dose = made.tuned()["nuisance"]["dose"]
    assert {arm: dose.get(arm, dose["default"]) for arm in config["scientific"]["arms"][2:]} == {
        "control": "ratio", "dann": "ratio", "dann-0.01": "lambda", "wdgrl": "lambda",
    }  # fmt: skip


def test_all_trials_both_choices_and_the_oracle_are_in_tuning_json(home):
    tune()
    found = tuning.find("outputs", "mine")
    assert found["complete"] and found["seeds"] == [100, 101] and not found["mixed"]
    rows = {row["trial"]: row for row in found["trials"]}
    assert list(rows) == [*DANN, *STANDARD]
    row = rows[DANN[1]]
    assert [row[key] for key in ("english", "development", "language")] == [60, 41, 40]
    assert row["gap"] == 0.32 and row["chosen"] == "first" and row["amiss"] == ""
    assert rows[DANN[0]]["amiss"] == "language is read" and rows[DANN[0]]["oracle"] == 2
    assert rows[STANDARD[1]]["chosen"] == "first and second"
    assert {row["development"] for row in found["oracle"] if row["arm"] == "dann"} == {46}
    assert [len(table) for table in tuning.tables(found)] == [2, 4, 4]
    assert not tuning.failures(found, "dann")


def test_settings_of_other_trials_than_those_that_are_here_are_said_to_be_that(home):
    tune()
    found, path = tuning.find("outputs", "mine"), Path("outputs/mine-tuning/tuning.json")
    assert "unmatched" not in found
    next(Path("outputs/mine-tuning/probe").rglob(f"{DANN[0]}/*/run.json")).unlink()
    assert tuning.next_parts("mine", 2, "")[0]
    assert tuning.find("outputs", "mine") == found  # what was selected keeps its evidence
    published = Path("outputs/reference/mine/tuning/tuning.json")
    published.parent.mkdir(parents=True)
    path.rename(published)
    path.write_text("{}", encoding="utf-8")
    assert tuning.find("outputs", "mine") == found  # the one that the settings were made of
    published.unlink()
    (said,) = tuning.failures(tuning.find("outputs", "mine"), "dann")
    assert said == "the settings were selected by other trials than those that are here"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({STANDARD[0]: (60, 39, 95, 100, 0.3), STANDARD[1]: (60, 38, 90, 100, 0.3)}, "gate: the"),
        ({STANDARD[0]: (45, 44, 95, 100, 0.3), STANDARD[1]: (45, 44, 90, 100, 0.3)}, "gate: the"),
        ({DANN[1]: (60, 41, 70, 95, 0.32)}, r"not reached by dann as tuned \(language is read; a"),
        ({DANN[0]: (60, 46, 80, 95, 0.2), DANN[1]: (60, 41, 40, 95, 0.1)}, "translation gap"),
    ],
)
def test_a_gate_that_is_not_passed_is_said_first(home, changed, said):
    assert any(re.search(said, sentence) for sentence in tune(GOOD | changed))
    assert re.search(said, " ".join(tuning.failures(tuning.find("outputs", "mine"), "dann")))


def test_no_tuning_says_nothing(home):
    assert tuning.find("outputs", "mine") == {} and tuning.failures({}, "dann") == []
    assert not list(tuning.tables({}))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("[100, 101]", "[1, 101]", r"tuning.seeds: \[1\] are seeds of the study"),
        ("languages: [it]", "languages: [it, de]", r"\['de'\] are test languages of intent"),
        ("languages: [it]", "languages: [en]", "'en' is no development language"),
        ("[0.05, 0.2]", "[0.05, 0.1, 0.2]", "trials of dann 3, standard 2; every arm needs the"),
        ("[0.05, 0.2]", "[0.05, 0.05]", "names something twice"),
        ("dann: {lambda_max", "cdann: {lambda_max", r"tuning.arms: nothing for \['dann'\]"),
        ("sarcasm: 50", "dann/sarcasm: 50", "steps are tuned, so .* can have none by arm"),
        ("lambda_max:", "lamda_max:", "no setting by arm; did you mean 'lambda_max'"),
        ("[0.05, 0.2]", "[0.05, 1e-3]", "write 1.0e-3 with a dot"),
        ("targets: [intent]", "targets: [emoji-names]", "\['emoji-names'\] train nothing"),
        ("second_seeds: [1]", "second_seeds: [1, 7]", r"second_seeds: \[7\] are no seeds of the"),
        ("second_seeds", "second_seed", "did you mean 'second_seeds'"),
        ("tuning:\n", "tuned: {}\nno_tuning:\n", "no_tuning"),
        ("tuning:\n", "# tuned:start\ntuning:\n", "'# tuned:start' without '# tuned:end'"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_is_written(home, old, new, match):
    (home / "params/mine.yaml").write_text(STUDY.replace(old, new))
    with pytest.raises(ValueError, match=match):
        tuning.next_parts("mine", 1, "")
    assert not Path("outputs").exists() and not Path("params/mine-tuning.yaml").exists()


def test_a_file_of_the_user_s_own_is_not_written_over(home):
    own = home / "params/mine-tuning.yaml"
    own.write_text("study: mine-tuning\n")
    with pytest.raises(Refused, match=r"mine-tuning\.yaml: not written by make tune"):
        tuning.next_parts("mine", 1, "")
    assert own.read_text() == "study: mine-tuning\n"


def test_an_unknown_arm_of_the_study_is_refused_before_its_trials(home):
    arms = STUDY.replace("control, dann]", "control, dann, dan]")
    (home / "params/mine.yaml").write_text(arms)
    with pytest.raises(Refused, match="'dan'"):
        tuning.next_parts("mine", 1, "")


def test_a_study_without_the_block_is_refused_and_the_command_says_so(home, capsys):
    config = yaml.safe_load(STUDY)
    del config["tuning"]
    (home / "params/mine.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(Refused, match="no block tuning"):
        tuning.next_parts("mine", 1, "")
    assert cli.main(["tune", "mine", "--stage", "1"]) == 2
    assert "refused: params/mine.yaml: no block tuning" in capsys.readouterr().err


def test_trials_with_other_parameters_than_now_asked_are_run_again(home):
    tune()
    text = (home / "params/mine.yaml").read_text()
    (home / "params/mine.yaml").write_text(text.replace("fixed: {", "fixed: {max_length: 31, "))
    assert tuning.Tuning("mine").unfinished(1) and not tuning.Tuning("mine").result
    (home / "params/mine.yaml").write_text(text)
    assert tuning.Tuning("mine").result["complete"]


def test_trials_travel_in_packs_and_are_published(home, tmp_path, monkeypatch):
    kinds = cycle(["A", "B"])  # in every block: no test compares trials
    monkeypatch.setattr(records, "_processor", lambda: next(kinds))
    tune()
    folder, design = Path("outputs/mine-tuning"), find_study("mine-tuning")
    packs.pack(folder, design)
    files = sorted(folder.glob("packs/*.tar.gz"))
    assert len(files) == 18
    (folder / "packs").rename(tmp_path / "carried")
    for path in folder.iterdir():
        path.rename(tmp_path / path.name)
    list(packs.unpack([tmp_path / "carried" / path.name for path in files], folder, design))
    before = (home / "params/mine.yaml").read_text()
    assert "gate: 2 of 2" in tuning.finish("mine")[0]
    assert (home / "params/mine.yaml").read_text() == before
    packs.pack(folder, design)
    analysis = Path("outputs/mine/analysis")
    analysis.mkdir(parents=True)
    (analysis / "report.html").write_text("<p>")
    summary = {"study": "mine", "table": [], "comparison": {}}
    (analysis / "summary.json").write_text(json.dumps(summary))
    reference.publish("outputs/mine", "outputs/reference/mine")
    published = {path.name for path in Path("outputs/reference/mine/tuning").iterdir()}
    assert published == {"tuning.json", *(path.name for path in files)}
    found = json.loads((folder / "tuning.json").read_bytes())
    (folder / "tuning.json").unlink()
    assert tuning.find("outputs", "mine") == found
    assert set(found["processors"]) == {"A", "B"} and not found["mixed"]
    assert list(tuning.tables(found))[-1].processor.tolist() == list(found["processors"])
