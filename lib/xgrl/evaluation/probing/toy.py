"""A toy of gradient reversal in two dimensions, for notebook 00.

200 points stand for texts: left or right is what the task needs, up or down is the language. The
encoder is a 2 x 2 matrix, head and discriminator are lines, and a little noise is added to the
features, so that something made small enough is lost.
"""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from xgrl.models.grl import gradient_reversal


def train_toy(weight: float, rate: float, steps: int = 500) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train encoder, head and discriminator together.

    weight: lambda, the same in all steps. rate: learning rate of the discriminator; the encoder's
    is 0.05. steps: of gradient descent, on all points. Returns one row a step and point: step, x, y
    (its features), dx, dy (where the reversed gradient pushes them), language (en, de); and one a
    step: step, a, b, c (the discriminator is undecided where a x + b y + c = 0), accuracy (%).
    """
    chance = np.random.default_rng(0)
    side, language = chance.integers(0, 2, 200), np.arange(200) % 2
    points = chance.normal(0, 0.5, (200, 2)) + 2 * np.stack([side, language], axis=1) - 1
    x, task, domain = torch.tensor(points).float(), torch.tensor(side), torch.tensor(language)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, head, judge = nn.Linear(2, 2, bias=False), nn.Linear(2, 2), nn.Linear(2, 2)
        nn.init.eye_(encoder.weight)
        slow = {"params": [*encoder.parameters(), *head.parameters()]}
        own = {"params": judge.parameters(), "lr": rate, "weight_decay": 0.03}
        optimiser = torch.optim.SGD([slow, own], lr=0.05)
        clouds, boundaries = [], []
        for step in range(steps):
            features = encoder(x) + 0.3 * torch.randn(x.shape)
            logits = judge(gradient_reversal(features, weight))
            loss = cross_entropy(logits, domain)
            # descent goes against the gradient that comes back
            push = -torch.autograd.grad(loss, features, retain_graph=True)[0]
            values = np.hstack([features.detach(), push])
            cloud = pd.DataFrame(values, columns=["x", "y", "dx", "dy"])
            clouds.append(cloud.assign(step=step, language=np.array(["en", "de"])[language]))
            edge = torch.cat([judge.weight, judge.bias[:, None]], 1).diff(dim=0)[0].tolist()
            right = (logits.argmax(1) == domain).double().mean().item()
            boundaries.append((step, *edge, 100 * right))
            optimiser.zero_grad()
            (cross_entropy(head(features), task) + loss).backward()
            optimiser.step()
    columns = ["step", "a", "b", "c", "accuracy"]
    return pd.concat(clouds), pd.DataFrame(boundaries, columns=columns)
