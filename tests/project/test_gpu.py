"""What ``device: cuda`` asks of the code: everything a step reads is on its device, bfloat16
changes little. Without a card on a device that computes on the CPU (`elsewhere`) and with the CPU's
bfloat16; with one (``pytest -m gpu``) on it.
"""

import json
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cosine_similarity

from elsewhere import DEVICE, elsewhere
from small_study import prepare
from tiny_runs import encoder, tiny_run
from xgrl.evaluation import predict, readout
from xgrl.execution import placement
from xgrl.models import task_model
from xgrl.models.encoder import save_checkpoint
from xgrl.models.split import join
from xgrl.runs import params, records
from xgrl.training import batches, build, checkpoints, diagnostics, trainer

CPU = torch.device("cpu")
NONE = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
ON_GPU = [pytest.mark.gpu, NONE]
CARD = pytest.param(torch.device("cuda"), marks=ON_GPU, id="gpu")
ARMS = ("standard", "control", "dann", "shuffled", "cdan", "wdgrl", "mlm", "translated",
        "robust-adversarial", "robust-smoothing", "lexical")  # fmt: skip
# arms that run their own lower layers, also over frozen ones
SPLIT = [(arm, 2 if arm in ("mlm", "lexical") else 0) for arm in (*ARMS, "mlm whole")]
SPLIT = [(arm.split()[0], k) for arm, k in SPLIT]
AT_ONCE = {"dann", "mlm", "lexical"}
CASES = [
    pytest.param(arm, k, id=f"{arm}-{k}", marks=[] if arm in AT_ONCE else [pytest.mark.slow])
    for arm, k in SPLIT
]
TARGETS = {"xnli": "classification", "xcopa": "multiple_choice", "udpos": "tagging",
           "xquad": "span_qa", "lareqa": "pairs", "tatoeba": "retrieval"}  # fmt: skip
STUDY = {
    "targets": [*TARGETS], "intermediate": ["mnli"], "languages": ["en", "de", "zh"],
    "max_length": 48,
    "train_rows": 120, "dev_rows": 20, "test_rows": 10, "retrieval_rows": 20, "trained_layers": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("formats"), **STUDY)


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    """No dropout, whose draws differ between devices, and one way of computing attention."""
    functional = torch.nn.functional
    attention = functional.scaled_dot_product_attention

    def without(*args, dropout_p=0.0, **kwargs):
        return attention(*args, **kwargs)

    monkeypatch.setattr(functional, "dropout", lambda features, *_, **__: features)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", without)
    with sdpa_kernel(SDPBackend.MATH):
        yield


def moved(batch: dict, device: torch.device) -> dict:
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


def few_steps(device: torch.device):
    """A function in the place of `trainer.fit`: its steps without transformers' trainer, which
    needs a device that it knows. It returns the curves.
    """

    def fit(model, data, job, dropout):
        torch.manual_seed(0)
        groups = model.to(device).train().groups()
        weights = [weight for group in groups.values() for weight in group]
        optimizer = torch.optim.AdamW(weights, lr=1e-3, foreach=False)
        curves = []
        for step in range(len(data)):
            batch = moved(data[step], device)
            seen = []
            with model.arm.register_forward_pre_hook(
                lambda _, given, seen=seen: seen.extend(given)
            ):
                loss, term, curve = model(progress=step / len(data), **batch)
            if isinstance(term, torch.Tensor):
                features = seen[0].read[-1]
                curve |= diagnostics.gradients(loss, term, groups["encoder"], features)
            (loss + term).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0, foreach=False)
            optimizer.step()
            optimizer.zero_grad()
            curves.append(curve)
        return curves

    return fit


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [weight.detach().cpu().clone() for weight in module.parameters()]


def here_and_elsewhere(monkeypatch, do) -> list:
    """What a function of a device gives on the CPU and elsewhere."""
    monkeypatch.setattr(batches, "mixed_precision", lambda device: nullcontext())
    monkeypatch.setattr(diagnostics, "mixed_precision", lambda device: nullcontext())
    found = [do(CPU)]
    with elsewhere():
        found.append(do(DEVICE))
    return found


@pytest.mark.parametrize("arm, k", CASES)
def test_a_step_of_an_arm_stays_on_its_device(arm, k, monkeypatch):
    def train(device):
        monkeypatch.setattr(trainer, "fit", few_steps(device))
        base = encoder()
        run = tiny_run(arm, steps=3, base=base, k=k)
        assert {weight.device.type for weight in run.model.parameters()} == {device.type}
        trained, flops = weights(run.model), diagnostics.training_flops(run.model, run.data)
        run.model.arm.detach(join(base, run.model.encoder))
        return run.fit, flops, trained, weights(base)

    here, there = here_and_elsewhere(monkeypatch, train)
    assert str(here[0]) == str(there[0]) and here[1] == there[1]
    for part in (2, 3):
        assert all(torch.equal(a, b) for a, b in zip(here[part], there[part], strict=True))


@pytest.mark.parametrize("size", [0, 5])
@pytest.mark.parametrize("target", TARGETS)
def test_a_format_is_trained_and_read_on_its_device(target, size, prepared, monkeypatch):
    if size and target in ("tatoeba", "xnli"):
        pytest.skip("nothing is trained, or as in the arms")
    job = target_job(prepared, target)
    # before: transformers loads weights by way of the device whose name is borrowed
    runs = iter([build.build_target(job, prepared) for _ in range(2)])

    def train(device):
        run = next(runs)
        model = run.model.to(device)
        model.micro_batch_size = size
        curves = [few_steps(device)(model, data, job, None) for data in run.stages.values()]
        frame, scores, errors = predict.predict(model, prepared, target)
        return str(curves), frame, str((scores, errors)), weights(model)

    here, there = here_and_elsewhere(monkeypatch, train)
    assert here[0] == there[0] and here[1].equals(there[1]) and here[2] == there[2]
    assert all(torch.equal(a, b) for a, b in zip(here[3], there[3], strict=True))


def target_job(prepared, target: str, **changes) -> dict:
    values = {"outputs": str(prepared.folder.parents[1]), "target": target, "steps": 3}
    values |= {"arm": "none", "intermediate": "none"} | changes
    return params.validate("03_target", values)


def test_what_is_not_on_the_device_is_noticed():
    with elsewhere() as device:
        there = torch.ones(3, 2).to(device)
        assert (there @ torch.ones(2, device=device)).tolist() == [2, 2, 2]
        assert (there * 2.0 + torch.tensor(1.0)).sum().item() == 18
        for mixed in (lambda: there + torch.ones(2), lambda: there[torch.tensor([True] * 3)] @
                      torch.arange(2.0), lambda: there.numpy()):  # fmt: skip
            with pytest.raises((RuntimeError, TypeError)):
                mixed()
        layer = torch.nn.Linear(2, 3)
        weight, copied = layer.weight, layer.weight.detach()
        layer.to(device)
        assert layer.weight is weight and weight.device == device
        with pytest.raises(RuntimeError, match="two devices"):
            there @ copied.T


# bfloat16 against float32


def one_step(model, batch: dict, device: torch.device) -> dict:
    """Losses, curves, features, gradients of a step; in bfloat16 where the device does so."""
    model.to(device).train()
    batch = moved(batch, device)
    with task_model.mixed_precision(device):
        loss, term, curves = model(progress=0.5, **batch)
    (loss + term).backward()
    groups = {name: [w.grad for w in group] for name, group in model.groups().items()}
    assert {w.dtype for w in model.parameters()} == {torch.float32}
    return {
        "loss": loss.item(), "term": float(torch.as_tensor(term).detach()), "curves": curves,
        "gradients": {
            name: torch.cat([g.flatten() for g in grads if g is not None]).float().cpu()
            for name, grads in groups.items() if any(g is not None for g in grads)
        },
    }  # fmt: skip


def assert_near(exact: dict, rounded: dict, loss: float, cosine: float) -> None:
    """Losses differ by at most a share, gradients point the same way."""
    for name in ("loss", "term"):
        assert rounded[name] == pytest.approx(exact[name], rel=loss, abs=loss)
    assert exact["gradients"].keys() == rounded["gradients"].keys()
    for part, gradient in exact["gradients"].items():
        other = rounded["gradients"][part]
        assert cosine_similarity(gradient, other, dim=0) > cosine, part
        assert other.norm().item() == pytest.approx(gradient.norm().item(), rel=0.05)


@pytest.fixture(params=[pytest.param(CPU, id="cpu"), CARD])
def device(request, monkeypatch) -> torch.device:
    """A device that computes in bfloat16 within `rounding`: a GPU, or the CPU made to."""
    return request.param


@pytest.fixture
def rounding(monkeypatch):
    return lambda: monkeypatch.setattr(task_model, "BFLOAT16", {"cpu", "cuda"})


@pytest.mark.parametrize("arm, k", CASES)
def test_bfloat16_changes_a_step_of_an_arm_little(arm, k, device, rounding):
    runs = [tiny_run(arm, steps=2, base=encoder(), k=k) for _ in range(2)]
    exact = one_step(runs[0].model, runs[0].data[1], CPU)
    rounding()
    found = one_step(runs[1].model, runs[1].data[1], device)
    assert found["loss"] != exact["loss"]
    assert_near(exact, found, 0.02, 0.97)
    vectors = [readout.features(run.model, run.data.labelled[""]) for run in runs]
    cosines = (vectors[0] * vectors[1]).sum(1) / np.prod(
        [np.linalg.norm(v, axis=1) for v in vectors], axis=0
    )
    assert vectors[1].dtype == np.float32 and cosines.min() > 0.999


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "tatoeba"])
def test_bfloat16_changes_a_step_of_a_format_little(target, device, rounding, prepared):
    runs = [build.build_target(target_job(prepared, target), prepared) for _ in range(2)]
    batch = runs[0].stages["train"][0]
    exact = one_step(runs[0].model, batch, CPU)
    rounding()
    assert_near(exact, one_step(runs[1].model, batch, device), 0.02, 0.97)
    frame, scores, _ = predict.predict(runs[1].model, prepared, target)
    assert np.isfinite(frame.score).all() and scores


# On a card, through what a study runs


@pytest.mark.gpu
@NONE
@pytest.mark.parametrize("arm, k", SPLIT)
def test_an_arm_is_trained_on_a_gpu_and_its_checkpoint_loads(arm, k, tmp_path):
    base = encoder()
    run = tiny_run(arm, steps=20, base=base, k=k, device="cuda")
    assert run.fit.diverged is None and len(run.fit.curves) == 20 and run.fit.memory == ""
    assert {weight.device.type for weight in run.model.parameters()} == {"cuda"}
    assert {weight.dtype for weight in run.model.parameters()} == {torch.float32}
    losses = run.fit.curves.task_loss
    assert losses.tail(5).mean() < losses.head(5).mean()
    right, count, _ = readout.dev_accuracy(run.model, run.data.labelled[""])
    assert right > count / 2 and diagnostics.training_flops(run.model, run.data) > 0
    run.model.arm.detach(join(base, run.model.encoder))
    save_checkpoint(base, tmp_path / "checkpoint", None, "tiny")
    assert (tmp_path / "checkpoint/model.safetensors").exists()


@pytest.mark.gpu
@NONE
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_trained_and_predicted_on_a_gpu(target, prepared):
    job = target_job(prepared, target, device="cuda", steps=10)
    run = build.build_target(job, prepared)
    for data in run.stages.values():
        assert trainer.fit(run.model, data, job, run.streams["dropout"]).diverged is None
    frame, scores, _ = predict.predict(run.model.to("cuda"), prepared, target)
    assert np.isfinite(frame.score).all() and scores


@pytest.mark.gpu
@NONE
def test_a_killed_run_goes_on_on_a_gpu(tmp_path, monkeypatch, capsys):
    """As near as a GPU's sums in other orders allow."""

    class Kill(BaseException):
        pass

    def run(folder):
        options = {"outputs": str(folder), "checkpoint_minutes": 1e-9, "device": "cuda"}
        return tiny_run("dann", steps=12, base=encoder(), **options)

    inner, killed = checkpoints.Checkpoints.on_step_end, []

    def on_step_end(self, args, state, control, **parts):
        inner(self, args, state, control, **parts)
        if state.global_step == 7 and not killed:
            killed.append(True)
            raise Kill

    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))
    expected = run(tmp_path / "whole")
    monkeypatch.setattr(checkpoints.Checkpoints, "on_step_end", on_step_end)
    with pytest.raises(Kill):
        run(tmp_path / "killed")
    found = run(tmp_path / "killed")
    assert "goes on from the checkpoint of step 7" in capsys.readouterr().out
    for a, b in zip(weights(found.model), weights(expected.model), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)


@pytest.mark.gpu
@NONE
def test_a_batch_that_a_card_cannot_hold_goes_in_halves():
    def wide(size: int):
        base = encoder(0.0)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        ballast = []

        def hold(module, args, out):  # memory that a sequence takes until its backward pass
            ballast.append(torch.empty(len(out[0]), 2**24, device="cuda"))

        def release(*_):
            ballast.clear()

        base.encoder.layer[0].register_forward_hook(hold)
        base.encoder.layer[0].register_full_backward_hook(release)
        run = tiny_run("dann", steps=3, base=base, device="cuda", micro_batch_size=size)
        return run, torch.cuda.max_memory_reserved()

    (_, parts), (_, whole) = wide(8), wide(0)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((parts + whole) / 2 / total)
    try:
        run, _ = wide(0)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert run.fit.memory.startswith("out of memory at step 0: micro_batch_size 8 instead of 16")
    assert len(run.fit.curves) == 3


@pytest.mark.gpu
@NONE
def test_two_jobs_never_hold_one_card(tmp_path, monkeypatch):
    code = (
        "import torch; print(torch.cuda.device_count(), torch.ones(2, device='cuda').sum().item())"
    )
    with placement.one_gpu(tmp_path) as first:
        seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert seen.stdout.split() == ["1", "2.0"], seen.stderr
        with pytest.raises(Timeout), FileLock(tmp_path / f"{first}.lock", timeout=0):
            pass
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", first)

        def waited(seconds):
            raise InterruptedError

        monkeypatch.setattr(placement.time, "sleep", waited)
        with pytest.raises(InterruptedError), placement.one_gpu(tmp_path):
            pass


@pytest.mark.gpu
@NONE
def test_the_smoke_study_runs_on_a_gpu(root, tmp_path):
    extra = tmp_path / "extra.yaml"
    extra.write_text(json.dumps({"outputs": "outputs", "fixed": {"device": "cuda"}}))
    files = [str(root / f"params/{name}.yaml") for name in ("base", "smoke")]
    options = ["--cores", "2", "--resources", f"gpu={len(placement.gpus())}", "--nolock"]
    options += ["--snakefile", str(root / "Snakefile"), "--directory", str(tmp_path)]
    command = [sys.executable, "-m", "snakemake", *options, "--configfile", *files, str(extra)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    for path in (tmp_path / "outputs/smoke/intermediate").rglob("run.json"):
        record = records.read(path.parent)
        assert record["device"] == "cuda" and record["status"] == "finished"
