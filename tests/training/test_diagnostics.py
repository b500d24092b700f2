"""Diagnostics: warnings where something went wrong, gradients as autograd has them, operations as
the formula has them.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest

from tiny_runs import corpus, encoder, tiny_run
from xgrl.training import diagnostics, trainer


def curves(accuracy, norms):
    frame = pd.DataFrame(
        {"step": range(len(accuracy)), "discriminator_accuracy": accuracy, "feature_norm": norms}
    )
    return frame.reindex(columns=trainer.CURVES)


def test_diagnosis_warns_of_a_discriminator_below_chance_and_of_collapse():
    metrics, warnings = diagnostics.diagnose(curves([22.0] * 50, [1.0] * 50), 50.0, 16)
    assert metrics["discriminator_accuracy"] == 22.0
    assert len(warnings) == 1
    assert "below chance" in warnings[0]
    assert diagnostics.diagnose(curves([49.0] * 50, [1.0] * 50), 50.0, 16)[1] == []
    assert (
        "collapsed" in diagnostics.diagnose(curves([60.0] * 50, [1.0] * 49 + [0.3]), 50.0, 16)[1][0]
    )
    metrics, warnings = diagnostics.diagnose(curves([np.nan] * 50, [1.0] * 50), 50.0, 16)
    assert metrics["discriminator_accuracy"] is None
    assert metrics["discriminator_low"] is None
    assert not warnings


def test_the_interval_of_the_discriminator_is_exact_and_over_the_last_fifth():
    metrics, _ = diagnostics.diagnose(curves([0.0] * 40 + [75.0] * 10, [1.0] * 50), 50.0, 16)
    low, high = binomtest(120, 160).proportion_ci(0.95, method="exact")
    assert (metrics["discriminator_low"], metrics["discriminator_high"]) == pytest.approx(
        (100 * low, 100 * high)
    )


def test_gradients_of_two_losses():
    w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    unused = torch.nn.Parameter(torch.ones(2))
    features = w * torch.tensor([1.0, 2.0])  # half its slope in the second
    task, term = (features * torch.tensor([3.0, 2.0])).sum(), -2 * features[0]
    found = diagnostics.gradients(task, term, [w, unused], features)
    norms = {"task_gradient_norm": 5, "arm_gradient_norm": 2, "gradient_cosine": -0.6}
    norms |= {"task_feature_gradient": 13**0.5, "arm_feature_gradient": 2}
    assert found == pytest.approx(norms | {"gradient_ratio": 2 / 13**0.5})
    task = (w**2).sum()
    assert diagnostics.gradients(task, unused.sum(), [w], features) == {}
    found = diagnostics.gradients(task, 0 * w.sum(), [w], features)
    assert np.isnan(found["gradient_cosine"]) and np.isnan(found["gradient_ratio"])


@pytest.mark.slow
def test_gradients_are_measured_where_an_arm_reaches_the_encoder_and_change_nothing(monkeypatch):
    run = tiny_run("dann", steps=24)
    measured = run.fit.curves.dropna(subset=["arm_gradient_norm"])
    assert len(measured) == trainer.MEASURED
    assert (measured.arm_gradient_norm[1:] > 0).all()
    assert measured.gradient_cosine.dropna().abs().max() <= 1
    assert tiny_run("control", steps=24).fit.curves.arm_gradient_norm.isna().all()
    monkeypatch.setattr(trainer, "MEASURED", 0)
    other = tiny_run("dann", steps=24)
    assert other.fit.curves.arm_gradient_norm.isna().all()
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.model.parameters(), other.model.parameters(), strict=True)
    )


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_effective_rank_of_equal_directions_is_their_number(rank):
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(9, rank)))[0].T
    features = np.concatenate([directions, -directions])
    assert diagnostics.effective_rank(features + 5) == pytest.approx(rank)
    assert diagnostics.effective_rank(np.ones((4, 3))) == 0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_collapsed_features_have_a_rank(kind):
    rows = np.random.default_rng(0).normal(3, 1, (2, 384)).astype(kind)
    equal = np.repeat(rows[:1], 40, axis=0)
    assert diagnostics.effective_rank(equal) == 0
    rounded = equal * (1 + np.finfo(kind).eps * np.arange(40)[:, None] % 2)
    assert diagnostics.effective_rank(rounded.astype(kind)) == 0
    assert diagnostics.effective_rank(np.repeat(rows, 20, axis=0)) == pytest.approx(1, abs=1e-3)
    assert diagnostics.effective_rank(np.zeros((40, 3), kind)) == 0


def test_operations_are_those_of_the_formula():
    base = encoder(dropout=0.0)
    run = tiny_run(base=base, steps=6)
    d, f, layers = 16, 32, 3
    expected = 0
    for step in range(6):
        rows, width = run.data[step]["attention_mask"].shape
        expected += 3 * rows * width * layers * (2 * (4 * d * d + 2 * d * f) + 4 * width * d)
    counted = diagnostics.training_flops(run.model, run.data)
    # head, and lengths that differ from the middle step's
    assert counted == pytest.approx(expected, rel=0.1)
    assert (
        diagnostics.training_flops(tiny_run("dann", steps=6).model, tiny_run("dann", steps=6).data)
        > 1.7 * counted
    )


def test_counting_operations_leaves_the_weights_and_chance_alone():
    run = tiny_run("dann", labelled=corpus(64, 5, 25, 2))
    before, state = [p.clone() for p in run.model.parameters()], torch.get_rng_state()
    diagnostics.training_flops(run.model, run.data)
    assert all(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state()) and not run.model.training
