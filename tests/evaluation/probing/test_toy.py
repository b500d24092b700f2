"""The toy of the reversal: what notebook 00 tells about it is so."""

from __future__ import annotations

import numpy as np
import torch

from xgrl.evaluation.probing.probes import language_probe
from xgrl.evaluation.probing.toy import train_toy


def test_reversal_hides_the_language_and_a_slow_discriminator_proves_nothing():
    state = torch.get_rng_state()
    alone, hidden, slow = train_toy(0.0), train_toy(1.0), train_toy(3.0, 0.01)
    assert torch.equal(torch.get_rng_state(), state)
    fresh = [language_probe(run.last, run.languages) for run in (alone, hidden, slow)]
    assert fresh[0].low > 50 and fresh[2].low > 50 and fresh[1].low <= 50 <= fresh[1].high
    own = [run.discriminator[-200:] for run in (alone, hidden, slow)]
    assert own[0].min() > 90 and 30 < own[1].min() < own[1].max() < 70
    # it swings from nearly everything to nearly nothing and back
    assert own[2].min() < 10 and own[2].max() > 90
    right = [np.abs(run.last[:, 0]).mean() for run in (alone, hidden, slow)]
    assert min(right) > 0.5, "the classes stay left and right"
    assert all(np.array_equal(run.first, alone.first) for run in (hidden, slow))
