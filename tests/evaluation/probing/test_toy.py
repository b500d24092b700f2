"""The toy of the reversal: what notebook 00 tells about it is so."""

import pytest
import torch

from xgrl.evaluation.probing.probes import language_probe
from xgrl.evaluation.probing.toy import train_toy


@pytest.mark.slow
def test_reversal_hides_the_language_and_a_slow_discriminator_proves_nothing():
    state = torch.get_rng_state()
    runs = [train_toy(0.0, 0.3), train_toy(1.0, 0.3), train_toy(3.0, 0.01)]
    assert torch.equal(torch.get_rng_state(), state)
    first, last = ([points[points.step == step] for points, _ in runs] for step in (0, 499))
    fresh = [language_probe(run[["x", "y"]].to_numpy(), run.language.to_numpy()) for run in last]
    assert fresh[0].low > 50 and fresh[2].low > 50 and fresh[1].low <= 50 <= fresh[1].high
    own = [boundaries.accuracy.to_numpy()[-200:] for _, boundaries in runs]
    assert own[0].min() > 90 and 30 < own[1].min() < own[1].max() < 70
    # it swings from nearly everything to nearly nothing and back
    assert own[2].min() < 10 and own[2].max() > 90
    assert min(run.x.abs().mean() for run in last) > 0.5, "the classes stay left and right"
    assert all(run[["x", "y"]].equals(first[0][["x", "y"]]) for run in first)
    pushed = runs[2][0]
    assert (first[0][["dx", "dy"]] == 0).all(axis=None) and pushed.dy.abs().max() > 0
