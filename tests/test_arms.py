"""The arms' promises: equal where they must be equal, different where they must differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from test_training import tiny_run
from xgrl.arms import ARMS, arm_class
from xgrl.arms.base import ArmSettings


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_dann_with_lambda_zero_equals_control_bit_for_bit():
    dann, control = tiny_run("dann", lambda_max=0.0), tiny_run("control")
    assert torch.equal(weights(dann.model), weights(control.model))
    assert dann.fit.curves.drop(columns="lambda").equals(control.fit.curves.drop(columns="lambda"))


def test_dann_changes_the_encoder_and_control_does_not_feel_the_discriminator():
    control = tiny_run("control")
    assert not torch.equal(weights(tiny_run("dann", lambda_max=1.0).model.encoder), weights(control.model.encoder))
    other = tiny_run("control", discriminator_learning_rate=1e-4)
    assert torch.equal(weights(other.model.encoder), weights(control.model.encoder))
    assert not torch.equal(weights(other.model.arm), weights(control.model.arm))


def test_an_opposed_discriminator_does_worse():
    control, dann = tiny_run("control", steps=60), tiny_run("dann", steps=60, lambda_max=3.0)
    accuracy = [run.fit.curves["discriminator_accuracy"].tail(15).mean() for run in (control, dann)]
    assert accuracy[0] > 50 + 10  # two domains with different words: an unopposed discriminator finds them
    assert accuracy[1] < accuracy[0] - 5


def test_all_arms_of_a_block_see_the_same_labelled_batches():
    rows = [np.concatenate(tiny_run(arm, steps=5).data.rows) for arm in ("standard", "control", "dann")]
    assert all(np.array_equal(rows[0], r) for r in rows[1:])


def test_gradient_of_the_encoder_is_reversed_and_scaled():
    features = torch.randn(8, 6)
    domains = torch.arange(8) % 2
    arm = arm_class("dann")(ArmSettings(6, 2, 0.5))
    through, plain = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss, curves = arm(through, domains, 1.0)
    loss.backward()
    torch.nn.functional.cross_entropy(arm.discriminator(plain), domains).backward()
    torch.testing.assert_close(through.grad, -curves["lambda"] * plain.grad)


@pytest.mark.parametrize("name", ["none", "dan", ""])
def test_arms_that_train_nothing_or_do_not_exist(name):
    with pytest.raises(ValueError, match="allowed: standard"):
        arm_class(name)


def test_the_table_is_complete():
    assert all(arm_class(name).needs_unlabelled in (True, False) for name, where in ARMS.items() if where)
