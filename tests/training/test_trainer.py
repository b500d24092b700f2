"""The trainer: reproducible, matched, resumable in its randomness, honest when it diverges."""

import numpy as np
import pandas as pd
import pytest
import torch

from tiers import slow_except
from tiny_runs import corpus, encoder, pairs, tiny_run
from xgrl.arms.base import ArmSettings, Standard
from xgrl.evaluation.readout import dev_accuracy, features
from xgrl.execution import failures
from xgrl.models import task_model
from xgrl.models.heads import ClassificationHead, DualEncoderHead, TaggingHead
from xgrl.models.split import prefix, top
from xgrl.models.task_model import TaskModel, mixed_precision
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.prefix_cache import prefix_states
from xgrl.training import batches, diagnostics, trainer
from xgrl.training.batches import collate


def state(run):
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    torch.manual_seed(1)
    first = state(tiny_run("dann"))
    torch.manual_seed(2)
    assert torch.equal(first, state(tiny_run("dann")))
    assert not torch.equal(first, state(tiny_run("dann", seed=1)))


def test_the_task_is_learned():
    labelled = corpus(64, 5, 25, 2)
    run = tiny_run(steps=60)
    right, count, majority = dev_accuracy(run.model, labelled)
    assert majority == 50
    assert right / count > 0.9
    assert list(run.fit.curves.columns) == list(trainer.CURVES) and len(run.fit.curves) == 60


def test_frozen_lower_layers_stay_frozen_and_cached_states_stand_in_for_them(tmp_path):
    base = encoder(dropout=0.0)
    plain = corpus(64, 5, 25, 2)
    hidden = np.load(prefix_states(prefix(base, 2), plain.tokens, tmp_path / "h.npy"))
    cached = Corpus(plain.ids, plain.labels, plain.tokens, hidden)
    upper = TaskModel(top(base, 2), torch.nn.Identity(), torch.nn.Identity())
    whole = TaskModel(base, torch.nn.Identity(), torch.nn.Identity())
    np.testing.assert_allclose(features(upper, cached), features(whole, plain), atol=1e-6)
    run = tiny_run(base=base, k=2, labelled=cached)
    assert run.model.encoder.config.num_hidden_layers == 1 and run.fit.diverged is None


def test_streams_are_equal_within_a_block_and_differ_between_blocks():
    def draw(*stage, seed):
        return {k: g.integers(2**62) for k, g in trainer.generators(1, *stage, seed=seed).items()}

    assert draw("a", seed=0) == draw("a", seed=0)
    others = [draw("a", seed=1), draw("b", seed=0), draw("a", "t", seed=0)]
    seen = [v for d in [draw("a", seed=0), *others] for v in d.values()]
    assert len(set(seen)) == len(seen)


def test_initialisation_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    trainer.initialised(torch.nn.Linear, 3, 2, generator=np.random.default_rng(0))
    assert torch.equal(before, torch.get_rng_state())


def test_unlabelled_draws_are_balanced_and_near_in_length():
    rng = np.random.default_rng(0)
    domains = np.repeat(np.arange(3), 100)
    lengths = np.tile(np.arange(100), 3)
    wanted = [10, 50, 90] * 30
    drawn = list(batches.unlabelled_rows(lengths, domains, iter(wanted), 8, rng, window=20))
    counts = np.bincount(domains[np.concatenate(drawn)], minlength=3)
    assert counts.max() - counts.min() <= 1
    for rows, length in zip(drawn, wanted, strict=True):
        assert np.abs(lengths[rows] - length).max() <= 20
        assert len(set(rows.tolist())) == len(rows)


def test_divergence_stops_the_run_and_keeps_its_curves():
    run = tiny_run(learning_rate=1.0, head_learning_rate=1.0, steps=12)
    assert run.fit.diverged is None
    broken = encoder()
    with torch.no_grad():
        broken.embeddings.word_embeddings.weight[7] = float("nan")
    run = tiny_run(base=broken)
    assert "nan" in run.fit.diverged and len(run.fit.curves) >= 1


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_lost(monkeypatch):
    base, calls = encoder(), []

    def loss(self, scores, labels, mask):
        calls.append(1)
        value = torch.nn.functional.cross_entropy(scores, labels)
        # finite, but its slope is not
        return value + torch.sqrt(scores.sum() * 0) if len(calls) == 3 else value

    monkeypatch.setattr(ClassificationHead, "loss", loss)
    run = tiny_run(base=base)
    assert "gradient's norm" in run.fit.diverged and len(run.fit.curves) == 3
    assert all(torch.isfinite(p).all() for p in run.model.parameters())
    metrics, _ = diagnostics.diagnose(run.fit.curves.assign(feature_norm=np.nan), 50.0, 16)
    assert metrics["feature_norm_last"] is None


def test_a_gpu_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device='cuda': torch sees no GPU"):
        tiny_run(device="cuda")


PARTS = (
    "standard",
    "control",
    "dann",
    "shuffled",
    "cdan",
    "wdgrl",
    "mlm",
    "translated",
    "robust-adversarial",
    "lexical",
)


@pytest.mark.parametrize("arm", slow_except({"dann", "mlm"}, PARTS))
def test_a_batch_in_parts_trains_as_the_whole_batch(arm):
    sizes = []

    def run(micro_batch_size):
        base = encoder(dropout=0.0)  # else the parts draw other masks than the whole
        base.encoder.layer[-1].register_forward_hook(lambda *a: sizes.append(len(a[1][0])))
        return tiny_run(
            arm,
            steps=3,
            base=base,
            k=2 if arm == "lexical" else 0,
            micro_batch_size=micro_batch_size,
        )

    whole = run(0)
    largest = max(sizes)
    sizes.clear()
    parts = run(3)
    assert largest >= 8 and max(sizes) == 3
    pd.testing.assert_frame_equal(whole.fit.curves, parts.fit.curves, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(state(whole), state(parts), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("tokens, layer", [(True, -1), (False, 1)])
def test_a_discriminator_on_tokens_or_a_lower_layer_sees_the_whole_batch(tokens, layer):
    settings = ArmSettings(16, 2, 0.1, tokens=tokens, layers=(layer,))
    whole, parts = (
        tiny_run("dann", steps=3, base=encoder(0.0), settings=settings, micro_batch_size=size)
        for size in (0, 5)
    )
    torch.testing.assert_close(state(whole), state(parts), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("head", [DualEncoderHead, TaggingHead])
def test_losses_that_are_no_mean_over_sequences_are_those_of_the_whole_batch(head):
    batch = collate([(pairs(4), np.arange(8))], 1)
    mask = batch["attention_mask"]
    labels = (
        torch.arange(4)
        if head is DualEncoderHead
        else torch.arange(mask.numel()).reshape(mask.shape) % 3
    )
    labels = (
        labels
        if head is DualEncoderHead
        else labels.masked_fill((mask == 0) | (torch.arange(8) < 5)[:, None], -100)
    )
    found = []
    for size in (0, 2, 3):
        torch.manual_seed(1)
        model = TaskModel(encoder(0.0), head(16, 3), Standard())
        model.head.train(False)
        model.micro_batch_size = size
        loss, _, _ = model(labels=labels, domains=torch.empty(0, dtype=int), progress=0.0, **batch)
        loss.backward()
        found.append((loss.detach(), [p.grad for p in model.encoder.parameters()]))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other)


def test_parts_are_computed_anew_with_the_same_dropout(monkeypatch):
    again = state(tiny_run("dann", steps=3, micro_batch_size=5))
    monkeypatch.setattr(
        task_model, "checkpoint", lambda function, *args, use_reentrant: function(*args)
    )
    torch.testing.assert_close(again, state(tiny_run("dann", steps=3, micro_batch_size=5)))


@pytest.mark.parametrize("arm", slow_except({"dann", "lexical"}, ("standard", *PARTS[2:])))
def test_mixed_precision_changes_little_and_leaves_the_weights_in_float32(arm, monkeypatch):
    plain = tiny_run(arm, steps=4, k=2 if arm == "lexical" else 0)
    monkeypatch.setattr(task_model, "BFLOAT16", {"cpu"})  # as on a GPU
    mixed = tiny_run(arm, steps=4, k=2 if arm == "lexical" else 0)
    assert mixed.fit.diverged is None and len(mixed.fit.curves) == 4
    assert {p.dtype for p in mixed.model.parameters()} == {torch.float32}
    assert not torch.equal(state(plain), state(mixed))
    np.testing.assert_allclose(plain.fit.curves.task_loss, mixed.fit.curves.task_loss, atol=0.05)


def test_mixed_precision_is_for_gpus():
    with mixed_precision(torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")
    if torch.cuda.is_available():
        with mixed_precision(torch.device("cuda")):
            assert torch.get_autocast_dtype("cuda") == torch.bfloat16


def out_of_memory(model: torch.nn.Module, limit: int) -> list[int]:
    """Let an encoder's memory hold so many sequences; the sizes that it was asked for."""
    asked = []

    def before(module, args, kwargs):
        asked.append(len(kwargs["attention_mask"]))
        if asked[-1] > limit and module.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model.register_forward_pre_hook(before, with_kwargs=True)
    return asked


def test_a_batch_that_finds_no_memory_is_tried_once_more_in_halves(capsys):
    base = encoder(0.0)
    asked = out_of_memory(base, 8)
    run = tiny_run("dann", steps=5, base=base)
    # 8 labelled and 8 other texts, forwards, and in halves once more backwards
    assert asked[:5] == [16, 8, 8, 8, 8] and max(asked[1:]) == 8
    said = "out of memory at step 0: micro_batch_size 8 instead of 16 from there on"
    assert run.fit.memory == said and said in capsys.readouterr().out
    assert list(run.fit.curves.step) == [0, 1, 2, 3, 4] and run.fit.diverged is None
    given = tiny_run("dann", steps=5, base=encoder(0.0), micro_batch_size=8)
    assert given.fit.memory == ""
    torch.testing.assert_close(state(run), state(given), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("given, tried", [(0, 8), (6, 3)])
def test_memory_that_does_not_suffice_in_halves_is_an_error(given, tried):
    base = encoder()
    out_of_memory(base, 2)
    said = f"step 0 with micro_batch_size={tried} .*{tried} instead of .*CUDA out of memory"
    with pytest.raises(torch.OutOfMemoryError, match=said) as error:
        tiny_run("dann", steps=5, base=base, micro_batch_size=given)
    assert "a smaller micro_batch_size" in failures.explain(error.value)


def test_memory_that_ends_in_the_backward_pass_leaves_no_gradient_behind(monkeypatch):
    inner, failed = torch.Tensor.backward, []

    def backward(loss, *args, **kwargs):
        inner(loss, *args, **kwargs)
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.functional, "dropout", lambda features, *_: features)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", backward)
        found = tiny_run("dann", steps=1, base=encoder(0.0))
    expected = tiny_run("dann", steps=1, base=encoder(0.0), micro_batch_size=8)
    assert found.fit.memory and len(found.fit.curves) == 1
    torch.testing.assert_close(state(found), state(expected), atol=2e-4, rtol=1e-3)


def test_what_a_run_sees_is_counted():
    run = tiny_run("dann", steps=5)
    seen = run.data.seen()
    assert seen["labelled_examples"] == 40
    masks = sum(int(run.data[i]["attention_mask"].sum()) for i in range(5))
    assert seen["labelled_tokens"] + seen["unlabelled_tokens"] == masks


def test_weight_decay_is_on_matrices_only(monkeypatch):
    made, AdamW = [], torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda groups, **k: made.append(AdamW(groups, **k))
                        or made[-1])  # fmt: skip
    model = tiny_run("dann", steps=1, weight_decay=0.3).model
    groups = {(g["name"], g["weight_decay"]): g["params"] for g in made[0].param_groups}
    parts = model.groups()
    assert set(groups) == {(part, decay) for part in parts for decay in (0.0, 0.3)}
    for (part, decay), own in groups.items():
        wanted = {id(w) for w in parts[part] if (w.ndim > 1) == (decay > 0)}
        assert {id(w) for w in own} == wanted
    names = {n for n, w in model.named_parameters() if any(w is o for o in groups["encoder", 0.0])}
    assert names == {n for n, _ in model.named_parameters() if n.startswith("encoder")
                     and ("LayerNorm" in n or n.endswith("bias"))}  # fmt: skip
