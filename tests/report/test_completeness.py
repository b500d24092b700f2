"""What is missing, doubled or mixed in a study is named, and nothing else."""

import json
import shutil

import pandas as pd
import pytest

from simulate import simulate
from xgrl.report import load_study, tables


def failing(folder) -> dict[str, str]:
    audit = load_study.collect(folder).audit
    return dict(zip(audit.check[~audit.ok], audit.found[~audit.ok], strict=True))


def test_unfinished_run_is_missing_and_named(copy):
    (copy / "target/intent/sarcasm.dann/seed-1/run.json").unlink()
    found = failing(copy)
    assert "target/intent/sarcasm.dann/seed-1" in found["every run finished"]
    assert "1 of 42 missing, first sarcasm, dann, intent, 1" in found[
        "every cell of the grid"
    ].replace("('", "").replace("'", "")


def test_doubled_missing_and_other_examples_are_found(copy):
    path = copy / "target/sentiment/sarcasm.dann/seed-0/predictions.parquet"
    frame = pd.read_parquet(path)
    pd.concat([frame, frame.iloc[:3]]).to_parquet(path)
    assert failing(copy)["no example twice in a run"] == "3 doubled rows"
    frame.assign(score=frame.score.where(frame.index > 4)).to_parquet(path)
    assert failing(copy)["every score a number"] == "5 are not"
    frame.assign(example_id="other-" + frame.example_id).to_parquet(path)
    assert failing(copy) == {"same examples in all runs of a target": "differ in sentiment"}
    path.unlink()
    assert "1 without" in failing(copy)["predictions of every target run"]


def test_diverged_and_mixed_runs_are_reported_and_kept(copy):
    path = copy / "intermediate/sarcasm/dann/seed-0"
    record = json.loads((path / "run.json").read_text())
    record |= {"status": "diverged", "device": "cuda", "warnings": ["the loss is nan at step 7"]}
    (path / "run.json").write_text(json.dumps(record))
    found = failing(copy)
    mixed = "arms of a block on the same device"
    assert set(found) == {
        "no run diverged (a diverged run is kept)",
        "the same device in all runs",
        mixed,
    }
    assert "mixed in 1 of " in found[mixed] and "first intermediate, sarcasm, 0" in found[mixed]
    # the whole block on a GPU: no pair is mixed, though the study is
    for other in ("standard", "control"):
        path = copy / f"intermediate/sarcasm/{other}/seed-0/run.json"
        if path.exists():
            path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "cuda"}))
    assert mixed not in failing(copy) and "the same device in all runs" in failing(copy)
    warnings = tables.warnings(load_study.collect(copy)).warning.tolist()
    assert warnings == ["the loss is nan at step 7", "status diverged"]


def test_an_arm_for_some_targets_only_is_no_gap_but_its_missing_seed_is(tmp_path):
    folder = simulate(tmp_path, arms=("none", "standard", "dann", "centring"), seeds=(0, 1))
    study = load_study.collect(folder)
    line = study.audit.set_index("check").loc["arms on a part of the grid (compared there only)"]
    assert study.audit.ok.all() and line.found == "centring"
    assert set(study.predictions.target[study.predictions.arm == "centring"]) == {"emoji-names"}
    shutil.rmtree(folder / "target/emoji-names/sarcasm.centring/seed-1")
    assert "1 of" in failing(folder)["every cell of the grid"]


def test_an_arm_that_was_trained_to_be_probed_has_a_part_of_the_grid(tmp_path):
    """The smoke and laptop studies have control on the probed target and seed alone, and dann on
    everything.
    """
    folder = simulate(tmp_path, seeds=(0, 1))
    for path in folder.glob("target/*/*.control/seed-*"):
        if path.parts[-3] != "intent" or path.name != "seed-0":
            shutil.rmtree(path)
    study = load_study.collect(folder)
    assert study.audit.ok.all()
    assert (
        study.audit.set_index("check").found["arms on a part of the grid (compared there only)"]
        == "control"
    )


def test_control_that_was_probed_but_not_carried_to_targets_is_no_gap(copy):
    for path in copy.glob("target/*/*.control"):
        shutil.rmtree(path)
    assert not failing(copy)


CODE = {"notebook": "59e6f12453c0a104", "library": "72b39da3cfc437de"}


def change(folder, pattern, **values):
    for path in folder.glob(f"{pattern}/run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_runs_of_other_code_or_versions_are_named_and_nothing_installed_counts(copy):
    """The simulated runs have versions that nobody has installed."""
    assert not failing(copy)
    same = "the same code, versions and parameters in all runs"
    change(copy, "target/*/*/*", code=CODE)
    assert not failing(copy)
    change(copy, "target/intent/sarcasm.dann/*", code=CODE | {"library": "0123456789abcdef"})
    assert failing(copy) == {
        same: "code of target: notebook 59e6f12453c0a104 and library 72b39da3cfc437de in 40 (first "
        "target/emoji-names/none/seed-0), notebook 59e6f12453c0a104 and library 0123456789abcdef "
        "in 2 (first target/intent/sarcasm.dann/seed-0)"
    }
    versions = {"python": "3.12.0", "torch": "2.14.0", "xgrl": "0.2.0"}
    change(copy, "probe/none/none/seed-0", versions=versions)
    change(copy, "target/intent/none/seed-0", code={})
    found = failing(copy)[same]
    assert "version of python: 3.11.0 in " in found and ", 3.12.0 in 1 (first probe/none" in found
    assert found.count("; ") == 3 and found.endswith("; and 1 more")


def test_a_block_on_two_kinds_of_processor_is_refused_and_blocks_on_two_are_said(copy):
    for seed, kind in ((0, "EPYC 7763"), (1, "Xeon 8375C")):
        change(copy, f"*/*/*/seed-{seed}", environment={"processor": kind})
    audit = load_study.collect(copy).audit.set_index("check")
    count = len(list(copy.glob("*/*/*/seed-0")))
    row = audit.loc["processors (one kind in a block)"]
    assert row.found == f"EPYC 7763 in {count} runs, Xeon 8375C in {count} runs"
    assert audit.ok.all()
    change(copy, "target/intent/sarcasm.dann/seed-1", environment={"processor": "EPYC 7763"})
    with pytest.raises(ValueError) as refused:
        load_study.collect(copy)
    said = str(refused.value)
    assert "processor of block sarcasm:1: Xeon 8375C in " in said and "sarcasm:0" not in said
    assert "EPYC 7763 in 1 (first target/intent/sarcasm.dann/seed-1); delete the run.json" in said
    change(copy, "*/*/*/seed-1", environment={})  # an old record does not say
    assert (
        "unknown in "
        in load_study.collect(copy)
        .audit.set_index("check")
        .found["processors (one kind in a block)"]
    )
