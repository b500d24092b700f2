"""Gradient reversal by its property: identity forwards, gradient times minus lambda backwards."""

import itertools
import math

import pytest
import torch

from xgrl.models.grl import Discriminator, gradient_reversal, lambda_at, steered


@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0, 7.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3,), (4, 5), (2, 3, 4)])
def test_gradients_are_minus_weight_times_the_plain_ones(weight, dtype, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(
        dtype
    )
    plain, opposed = x.clone().requires_grad_(), x.clone().requires_grad_()
    (plain**3).sum().backward()
    out = gradient_reversal(opposed, weight)
    assert torch.equal(out, opposed)
    (out**3).sum().backward()
    assert torch.equal(opposed.grad, -weight * plain.grad)


def test_only_what_lies_below_is_reversed():
    features = torch.randn(6, 8, requires_grad=True)
    discriminator = Discriminator(8, 3)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    torch.nn.functional.cross_entropy(discriminator(features), target).backward()
    plain = [p.grad.clone() for p in discriminator.parameters()]
    below = features.grad.clone()
    features.grad = None
    discriminator.zero_grad()
    torch.nn.functional.cross_entropy(
        discriminator(gradient_reversal(features, 0.5)), target
    ).backward()
    assert all(
        torch.equal(p.grad, g) for p, g in zip(discriminator.parameters(), plain, strict=True)
    )
    torch.testing.assert_close(features.grad, -0.5 * below)


def test_second_order_gradients_exist():
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((gradient_reversal(x, 2.0) ** 2).sum(), x, create_graph=True)
    gradient.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_steered_gradient_has_the_norm_and_the_direction_that_are_asked_for(dtype):
    plain = torch.randn(4, 6, dtype=dtype).requires_grad_()
    (plain**3).sum().backward()
    along = torch.randn(4, 6).to(dtype)
    own = plain.grad.norm()
    for norm, direction, size in [
        (None, None, 0.5 * own), (torch.tensor(8.0), None, 4.0), (None, along, 0.5 * own),
        (torch.tensor(8.0), along, 4.0), (torch.tensor(0.0), along, 0.0),
    ]:  # fmt: skip
        x = plain.detach().clone().requires_grad_()
        out = steered(x, 0.5, norm, direction)
        assert torch.equal(out, x)
        (out**3).sum().backward()
        wanted = -plain.grad if direction is None else direction
        wanted = wanted * (size / wanted.norm())
        torch.testing.assert_close(x.grad, wanted, rtol=2e-2 if dtype is torch.bfloat16 else 1e-5,
                                   atol=1e-6)  # fmt: skip
    x = torch.zeros(3, requires_grad=True)
    (steered(x, 0.5) ** 2).sum().backward()
    assert (x.grad == 0).all(), "no gradient, no direction"


def test_the_ramp_takes_what_the_warm_up_leaves():
    values = [lambda_at(p / 10, 0.3, 0.5) for p in range(11)]
    assert values[:6] == [0] * 6
    assert values[5:] == pytest.approx([lambda_at(p / 5, 0.3) for p in range(6)])


def test_lambda_ramp():
    values = [lambda_at(p / 100, 0.3) for p in range(101)]
    assert values[0] == 0
    assert all(a < b for a, b in itertools.pairwise(values))
    assert math.isclose(values[-1], 0.3 * (2 / (1 + math.exp(-10)) - 1))


@pytest.mark.parametrize(
    "call",
    [
        lambda: lambda_at(1.1, 0.1),
        lambda: gradient_reversal(torch.ones(2), -0.1),
        lambda: gradient_reversal(torch.ones(2), float("nan")),
        lambda: Discriminator(4, 1),
    ],
)
def test_bad_values_are_refused(call):
    with pytest.raises(ValueError):
        call()
