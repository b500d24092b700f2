"""A toy of gradient reversal in two dimensions, for notebook 00.

200 points stand for texts: left or right is the class that the task needs, up or down is the
language. The encoder is one 2 x 2 matrix, task head and discriminator are linear, and a little
noise is added to the features, so that something made small enough is really lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from xgrl.models.grl import gradient_reversal

POINTS = 200


@dataclass(frozen=True)
class Toy:
    """One training: features (200, 2) at its first and last step, the points' languages (200,), and
    at each step the accuracy of the training's own discriminator, (steps,) in percent.
    """

    first: np.ndarray
    last: np.ndarray
    languages: np.ndarray
    discriminator: np.ndarray


def train_toy(weight: float, rate: float = 0.3, steps: int = 500) -> Toy:
    """Train encoder, task head and discriminator together on the points.

    Args:
        weight: lambda of the reversal; 0: the discriminator only watches.
        rate: the discriminator's learning rate; the others' is 0.05.
        steps: of plain gradient descent, each on all points.
    """
    draw = np.random.default_rng(0)
    sides, languages = draw.integers(0, 2, POINTS), np.arange(POINTS) % 2
    points = draw.normal(0, 0.5, (POINTS, 2)) + 2 * np.stack([sides, languages], axis=1) - 1
    x, task = torch.tensor(points, dtype=torch.float32), torch.tensor(sides)
    domains, features, accuracy = torch.tensor(languages), [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, head, judge = nn.Linear(2, 2, bias=False), nn.Linear(2, 2), nn.Linear(2, 2)
        nn.init.eye_(encoder.weight)
        learners = {"params": [*encoder.parameters(), *head.parameters()]}
        opponent = {"params": judge.parameters(), "lr": rate, "weight_decay": 0.03}
        optimiser = torch.optim.SGD([learners, opponent], lr=0.05)
        for _ in range(steps):
            z = encoder(x) + 0.3 * torch.randn(x.shape)
            guess = judge(gradient_reversal(z, weight))
            features.append(z.detach().numpy())
            accuracy.append(100 * (guess.argmax(1) == domains).double().mean().item())
            optimiser.zero_grad()
            (cross_entropy(head(z), task) + cross_entropy(guess, domains)).backward()
            optimiser.step()
    names = np.array(["en", "de"])[languages]
    return Toy(features[0], features[-1], names, np.array(accuracy))
