"""Checkpoints: a run that was killed goes on with the bits of one that nobody disturbed, or says
why not.
"""

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback

from small_study import prepare
from tiers import slow_except
from tiny_runs import corpus, encoder, tiny_run
from xgrl.arms.base import ArmSettings
from xgrl.runs import params, records
from xgrl.training import batches, build, checkpoints, trainer

STEPS = 12
EVERY_STEP = 1e-9  # minutes


class Kill(BaseException):
    """As SIGKILL: nobody catches it."""


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch):
    """Writing may take all the time of a tiny run."""
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


@pytest.fixture
def at(monkeypatch):
    """A function that has something done once, at the end of a step, before or after its checkpoint
    is written.
    """

    def make(step: int, do, before: bool = False):
        inner = checkpoints.Checkpoints.on_step_end
        done = []

        def on_step_end(self, args, state, control, **parts):
            now = state.global_step == step and not done
            if now:
                done.append(step)
            if now and before:
                do()
            inner(self, args, state, control, **parts)
            if now and not before:
                do()

        monkeypatch.setattr(checkpoints.Checkpoints, "on_step_end", on_step_end)

    return make


def kill():
    raise Kill


def run(folder: Path, arm: str = "dann", **changes):
    """A run of a study in a folder, started with other states of chance than any before."""
    torch.manual_seed(random.randrange(2**31))
    options = {"outputs": str(folder), "checkpoint_minutes": EVERY_STEP} | changes
    options = {"base": encoder(), "k": 2 if arm == "lexical" else 0} | options
    return tiny_run(arm, steps=STEPS, **options)


def weights(model) -> torch.Tensor:
    return torch.cat([w.detach().flatten() for w in model.parameters()])


def assert_equal(found, expected):
    assert torch.equal(weights(found.model), weights(expected.model))
    assert found.fit.curves.to_csv() == expected.fit.curves.to_csv()
    pd.testing.assert_frame_equal(found.fit.curves, expected.fit.curves, check_exact=True)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("train-*"))


ARMS = ("standard", "control", "dann", "dann-source", "dann-source-genre", "shuffled", "noise",
        "pseudo-domains", "length-adversary", "cdan", "wdgrl", "mlm", "translated",
        "robust-adversarial", "robust-smoothing", "lexical")  # fmt: skip


@pytest.mark.parametrize("arm", slow_except({"dann", "mlm"}, ARMS))
def test_killed_at_any_step_it_goes_on_with_the_same_bits(arm, tmp_path, at, capsys):
    expected = run(tmp_path / "whole", arm)
    steps = random.Random(arm).sample(range(1, STEPS + 1), 4)
    at(steps[0], kill)
    at(steps[1], kill, before=True)
    at(steps[2], kill)
    at(steps[3], kill, before=True)
    kills = 0
    for _ in range(5):
        try:
            found = run(tmp_path / "killed", arm)
            break
        except Kill:
            kills += 1
    assert kills == 4 and "goes on from the checkpoint of step" in capsys.readouterr().out
    assert_equal(found, expected)


@pytest.mark.parametrize("changes", [{"micro_batch_size": 5}, {"warmup": 0.5}], ids=str)
def test_micro_batches_and_rising_rates(changes, tmp_path, at):
    expected = run(tmp_path / "whole", **changes)
    at(5, kill)
    with pytest.raises(Kill):
        run(tmp_path / "killed", **changes)
    assert_equal(run(tmp_path / "killed", **changes), expected)


@pytest.mark.parametrize("arm", slow_except({"noise"}, ("dann", "noise", "wdgrl")))
def test_an_adversary_with_everything_that_it_can_have(arm, tmp_path, at):
    """Further updates, running means, renewed discriminators: killed before, at and after one."""
    changes = {"updates": 3, "warmup": 0.2, "discriminators": 2, "renewal": 4, "dose": "ratio"}
    changes = {"settings": ArmSettings(16, 2, 0.5, layers=(1, -1), **changes)}
    expected = run(tmp_path / "whole", arm, **changes)
    for step in (3, 4, 5, 9):
        at(step, kill, before=step == 4)
    for _ in range(4):
        with pytest.raises(Kill):
            run(tmp_path / "killed", arm, **changes)
    assert_equal(run(tmp_path / "killed", arm, **changes), expected)


def test_checkpoints_change_no_bit(tmp_path):
    assert_equal(run(tmp_path), run(tmp_path / "none", checkpoint_minutes=0))
    assert not list((tmp_path / "none").rglob("*"))


def test_a_short_run_writes_none(tmp_path):
    run(tmp_path, checkpoint_minutes=params.MINUTES)
    assert not list(tmp_path.rglob("*"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    tasks = ["sarcasm", "question-type", "multitask"]
    return prepare(tmp_path_factory.mktemp("mixture"), intermediate=tasks)


def test_a_mixture_of_tasks(prepared, at, capsys):
    values = {"arm": "dann", "intermediate": "multitask", "steps": STEPS, "seed": 3}
    values |= {"outputs": str(prepared.folder.parents[1]), "checkpoint_minutes": EVERY_STEP}

    def train(**changes):
        job = params.validate("02_intermediate", values | changes)
        made = build.build_intermediate(job, prepared)
        return made, trainer.fit(made.model, made.stages["train"], job, made.streams["dropout"])

    expected, fit = train(checkpoint_minutes=0.0)
    assert len({*expected.stages["train"].tasks}) == 2
    at(7, kill)
    with pytest.raises(Kill):
        train()
    found, again = train()
    assert "goes on from the checkpoint of step 7" in capsys.readouterr().out
    assert torch.equal(weights(found.model), weights(expected.model))
    pd.testing.assert_frame_equal(again.curves, fit.curves, check_exact=True)


def test_two_stages_have_checkpoints_of_their_own(tmp_path, at, capsys):
    """As XCOPA after SIQA: the same model, other batches, another draw of dropout."""

    def both(folder: Path):
        streams = trainer.generators(2005, "task", "xcopa", seed=0)
        model = tiny_run(steps=1, base=encoder()).model
        sizes = {"first": STEPS, "train": STEPS - 3}
        stages = {
            name: batches.JointBatches(
                corpus(64, 5, 25, 2, seed=n), steps, 8, streams["order"], pad_id=1, stage=name
            )
            for n, (name, steps) in enumerate(sizes.items())
        }
        job = {"outputs": str(folder), "study": "tiny", "intermediate": "none", "arm": "none",
               "seed": 0, "target": "xcopa", "steps": STEPS, "checkpoint_minutes": EVERY_STEP,
               "learning_rate": 1e-3, "head_learning_rate": 1e-2, "weight_decay": 0.01,
               "warmup": 0.1, "max_grad_norm": 1.0}  # fmt: skip
        fits = [trainer.fit(model, data, job, streams["dropout"]) for data in stages.values()]
        return weights(model), [fit.curves for fit in fits]

    expected, curves = both(tmp_path / "whole")
    at(STEPS, kill)  # the last of the first stage
    at(4, kill)
    for _ in range(2):
        with pytest.raises(Kill):
            both(tmp_path / "killed")
    at(STEPS - 5, kill)  # of the first that comes: the first stage is past it
    with pytest.raises(Kill):
        both(tmp_path / "killed")
    capsys.readouterr()
    found, again = both(tmp_path / "killed")
    said = capsys.readouterr().out
    assert f"of step {STEPS}\n" in said and f"of step {STEPS - 5}\n" in said
    assert torch.equal(found, expected)
    for a, b in zip(again, curves, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert len(list(tmp_path.glob("killed/tiny/target/xcopa/none/seed-0/.checkpoints/*"))) == 8


@pytest.mark.parametrize("number", checkpoints.SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("step", [1, 8, STEPS])
def test_a_signal_writes_one_and_ends_as_to_be_continued(number, step, tmp_path, at):
    expected = run(tmp_path / "whole")
    before = {each: signal.getsignal(each) for each in checkpoints.SIGNALS}
    at(step, lambda: os.kill(os.getpid(), number), before=True)
    options = {"checkpoint_minutes": 1000.0}
    with pytest.raises(checkpoints.ToBeContinued, match=f"{number.name} came.*step {step} of 12"):
        run(tmp_path / "stopped", **options)
    assert {each: signal.getsignal(each) for each in checkpoints.SIGNALS} == before
    name = f"train-{step:08d}"
    assert files(tmp_path / "stopped") == [f"{name}.safetensors", f"{name}.sha256"]
    assert_equal(run(tmp_path / "stopped", **options), expected)


def stopped(folder: Path, at, **changes) -> list[Path]:
    """A run killed at step 9: its checkpoints of steps 8 and 9."""
    at(9, kill)
    with pytest.raises(Kill):
        run(folder, **changes)
    return sorted(folder.rglob("*.safetensors"))


def test_two_are_kept_and_none_is_left_by_a_finished_run(tmp_path, at):
    found = stopped(tmp_path, at)
    assert [path.stem for path in found] == ["train-00000008", "train-00000009"]
    assert all(path.with_suffix(".sha256").exists() for path in found)
    folder = found[0].parents[1]
    (found[0].parent / ".train-00000010.x.safetensors").write_bytes(b"cut")
    started = records.start(folder, "tiny")
    assert sorted(found[0].parent.glob("*.safetensors")) == found
    assert not list(found[0].parent.glob(".train*"))
    about = {"study": "tiny", "intermediate": "task", "arm": "dann", "seed": 0}
    records.finish(folder, phase="intermediate", parameters=about, metrics={}, started=started)
    assert [path.name for path in folder.rglob("*")] == ["run.json"]
    assert records.read(folder)["files"] == {}


def test_a_damaged_one_is_said_and_the_one_before_is_used(tmp_path, at, capsys):
    expected = run(tmp_path / "whole")
    _, last = stopped(tmp_path / "killed", at)
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    capsys.readouterr()
    found = run(tmp_path / "killed")
    said = capsys.readouterr().out
    assert "checkpoint of step 9 not used, it is damaged or half written" in said
    assert "goes on from the checkpoint of step 8" in said and "anew" not in said
    assert_equal(found, expected)


def test_half_written_ones_are_not_used(tmp_path, at, capsys):
    expected = run(tmp_path / "whole")
    first, last = stopped(tmp_path / "killed", at)
    first.write_bytes(first.read_bytes()[:-100])
    last.with_suffix(".sha256").unlink()
    capsys.readouterr()
    found = run(tmp_path / "killed")
    said = capsys.readouterr().out
    assert said.count("damaged or half written") == 2 and "the run starts anew" in said
    assert_equal(found, expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"learning_rate": 2e-3}, "parameters (learning_rate)"),
        ({"max_grad_norm": 0.5, "warmup": 0.3}, "parameters (max_grad_norm, warmup)"),
        ({"labelled": corpus(64, 5, 25, 2, seed=7)}, "data"),
        ({"unlabelled": corpus(60, 25, 55, 2, seed=7)}, "data"),
    ],
    ids=["rate", "two", "labelled", "unlabelled"],
)
def test_one_of_other_parameters_or_data_is_said_and_not_used(
    changes, reason, tmp_path, at, capsys
):
    expected = run(tmp_path / "whole", **changes)
    stopped(tmp_path / "killed", at)
    capsys.readouterr()
    found = run(tmp_path / "killed", **changes)
    said = capsys.readouterr().out
    assert said.count(f"not used, it is of other {reason}: ") == 2
    assert said.count("no checkpoint left to go on from: the run starts anew") == 1
    assert_equal(found, expected)


def test_one_of_other_code_or_first_weights_is_not_used(tmp_path, at, capsys, monkeypatch):
    stopped(tmp_path / "code", at)
    code = {"notebook": "1", "library": "2"}
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "code_of", lambda phase: code)
        run(tmp_path / "code")
    assert capsys.readouterr().out.count("of other code (library, notebook): ") == 2
    stopped(tmp_path / "weights", at)
    base = encoder()
    with torch.no_grad():
        base.encoder.layer[1].output.dense.bias[3] += 1e-3
    run(tmp_path / "weights", base=base)
    assert capsys.readouterr().out.count("it is of other first weights: ") == 2


def test_what_changes_no_result_may_change_between(tmp_path, at, capsys):
    expected = run(tmp_path / "whole")
    stopped(tmp_path / "killed", at)
    found = run(tmp_path / "killed", checkpoint_minutes=2.0)
    assert "goes on from the checkpoint of step 9" in capsys.readouterr().out
    assert_equal(found, expected)


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")],
    ids=["system", "safetensors"],
)
def test_a_full_disk_is_said_and_training_goes_on(error, tmp_path, at, capsys, monkeypatch):
    expected, save = run(tmp_path / "whole"), checkpoints.save_file

    def full(tensors, path, metadata):
        if "00000008" not in Path(path).name:
            Path(path).write_bytes(b"as far as it went")
            raise error
        save(tensors, path, metadata)

    monkeypatch.setattr(checkpoints, "save_file", full)
    assert_equal(run(tmp_path / "full"), expected)
    said = capsys.readouterr().out
    assert said.count("training goes on: ") == STEPS - 1 and "No space left on device" in said
    assert files(tmp_path / "full") == ["train-00000008.safetensors", "train-00000008.sha256"]
    assert not [path for path in tmp_path.rglob(".*") if path.name != records.CHECKPOINTS]
    assert_equal(run(tmp_path / "full"), expected)


def test_writing_takes_at_most_its_share_of_the_time(tmp_path, monkeypatch):
    clock, written = [0.0], []
    monkeypatch.setattr(checkpoints, "SHARE", 0.03)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])

    class Ticking(checkpoints.Checkpoints):
        def on_step_end(self, *args, **parts):
            clock[0] += 60.0  # a step takes a minute
            super().on_step_end(*args, **parts)

    def save(*args, **kwargs):
        clock[0] += 6.0
        written.append(clock[0])

    monkeypatch.setattr(trainer, "Checkpoints", Ticking)
    monkeypatch.setattr(checkpoints, "save_file", save)
    run(tmp_path, checkpoint_minutes=2.0)
    # the first after two minutes, then no sooner than 6 / .03 = 200 s after the last
    assert written == [126.0, 372.0, 618.0]


def test_a_checkpoint_holds_what_is_trained_and_is_text_and_tensors(tmp_path, at):
    base = encoder()
    base.embeddings.requires_grad_(False)
    path = stopped(tmp_path, at, base=base)[-1]
    with safe_open(path, "pt") as file:
        names, rest = [*file.keys()], json.loads(file.metadata()["rest"])
    trained = [name for name in names if name.startswith("model/")]
    assert trained and not [name for name in trained if "embeddings" in name]
    assert {name.partition("/")[0] for name in names} == {"model", "arm", "optimizer", "random"}
    assert [row["step"] for row in rest["curves"]] == list(range(9))


def test_curves_are_shown_while_a_run_goes_on(tmp_path, monkeypatch):
    logged = []

    class Shown(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            logged.append((state.global_step, dict(logs)))

    callbacks = "transformers.trainer.get_reporting_integration_callbacks"
    monkeypatch.setattr(callbacks, lambda names: [Shown] if names == ["tensorboard"] else [])
    found = run(tmp_path, report_to=["tensorboard"], checkpoint_minutes=0)
    assert_equal(found, run(tmp_path / "unseen", checkpoint_minutes=0))
    steps = [step for step, logs in logged if "loss" in logs]
    assert steps == list(range(1, STEPS + 1))
    for step, logs in logged[:STEPS]:
        curve = found.fit.curves.iloc[step - 1]
        assert logs["task_loss"] == curve.task_loss
        assert logs["discriminator_accuracy"] == curve.discriminator_accuracy
        assert logs["lambda"] == curve["lambda"]
        assert all(np.isfinite(value) for value in logs.values())
        assert logs["steps_per_second"] > 0 and logs["minutes_left"] >= 0
    assert logged[STEPS - 1][1]["minutes_left"] == 0
    last = {"encoder": 1e-3, "head": 1e-2, "arm": 5e-3}
    for name, peak in last.items():
        assert logged[1][1][f"learning_rate_{name}"] == pytest.approx(peak * 10 / 11)
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(
        tmp_path / "tiny/tensorboard/intermediate/task/dann/seed-0/train"
    )


def test_tensorboard_has_the_curves_in_the_study_s_folder(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = run(tmp_path, report_to=["tensorboard"], checkpoint_minutes=0)
    folder = tmp_path / "tiny/tensorboard/intermediate/task/dann/seed-0/train"
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    shown = events.Scalars("train/task_loss")
    assert [event.step for event in shown] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([event.value for event in shown], found.fit.curves.task_loss)
    names = {"discriminator_accuracy", "domain_loss", "learning_rate_arm", "steps_per_second"}
    assert {f"train/{name}" for name in names | {"minutes_left"}} <= {*events.Tags()["scalars"]}
