"""Dropout on a CPU: its rate and scale, its seed, and attention as torch computes it."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn
from torch.nn import functional

from xgrl.models.dropout import LEVELS, CheapDropout, attention, dropout


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.93])
@pytest.mark.parametrize("shape", [(1001,), (32, 25, 384)])
def test_each_value_is_dropped_at_the_rate_and_the_mean_stays(rate, shape):
    torch.manual_seed(0)
    out = dropout(torch.ones(shape), rate)
    lost = int((out == 0).sum())
    assert binomtest(lost, out.numel(), round(rate * LEVELS) / LEVELS).pvalue > 1e-3
    assert out[out > 0].unique().tolist() == pytest.approx([1 / (1 - rate)], rel=1e-3)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    lost = (dropout(torch.ones(400_000), 0.1) == 0).numpy()
    for lag in (1, 2, 3, 4, 8):  # four of them share one random number
        both = int((lost[lag:] & lost[:-lag]).sum())
        assert binomtest(both, len(lost) - lag, 0.01).pvalue > 1e-3, lag


def test_gradients_are_those_of_what_was_kept():
    values = torch.rand(7, 9, dtype=torch.float64, requires_grad=True)
    out = dropout(values, 0.4)
    out.sum().backward()
    torch.testing.assert_close(values.grad, (out / values).detach())


def test_torch_s_seed_and_state_decide_what_is_dropped():
    x = torch.rand(50, 60)
    torch.manual_seed(3)
    first, state = dropout(x, 0.1), torch.get_rng_state()
    second = dropout(x, 0.1)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.1), first) and not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.1), second)


@pytest.mark.parametrize("options", [(0.0, True), (0.1, False), (1.0, True)])
def test_the_ends_are_torch_s(options):
    x = torch.rand(5, 6)
    assert torch.equal(dropout(x, *options), functional.dropout(x, *options))


@pytest.mark.parametrize("kind", [None, "bool", "float"])
def test_attention_is_torch_s_but_for_what_is_dropped(kind, monkeypatch):
    mask = None
    torch.manual_seed(0)
    q, k, v = (torch.rand(3, 2, 5, 4, requires_grad=True) for _ in range(3))
    if kind:
        mask = (torch.arange(5) < torch.tensor([5, 3, 1])[:, None])[:, None, None].expand(
            3, 1, 5, 5
        )
        mask = mask if kind == "bool" else mask.logical_not() * torch.finfo(torch.float32).min
    found = []
    monkeypatch.setattr("xgrl.models.dropout.dropout", lambda weights, rate: weights)
    for out in (
        attention(q, k, v, mask, 0.1),
        functional.scaled_dot_product_attention(q, k, v, mask),
    ):
        found.append([out, *torch.autograd.grad(out.square().sum(), (q, k, v))])
    torch.testing.assert_close(*found)


def test_within_the_mode_modules_get_them_and_outside_torch_s():
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.3, batch_first=True)
    x = torch.rand(4, 6, 16)

    def run(seed):
        torch.manual_seed(seed)
        return layer(x)

    plain = run(0)
    with CheapDropout():
        ours = [run(0), run(0), run(1)]
        layer.eval()
        torch.testing.assert_close(run(0), run(1), atol=0, rtol=0)
    layer.train()
    assert torch.equal(ours[0], ours[1]) and not torch.equal(ours[0], ours[2])
    assert not torch.equal(ours[0], plain) and torch.equal(run(0), plain)
    assert np.isfinite(ours[0].detach().numpy()).all()
