"""The Wasserstein adversary: a critic with a gradient penalty instead of a classifier.

A discriminator that is sure of itself has almost no gradient left to reverse. The critic c: R^H ->
R has no such plateau: with E English and F foreign features its loss is

    W(f) = mean_E c(f) - mean_F c(f),
    L_arm = -W(R_lambda(f)) + gamma * mean (||dc/dx|| - 1)^2,
    x = f_E + u (f_F - f_E), u ~ U(0, 1), f detached there

The critic ascends W, held 1-Lipschitz by the penalty, so that W comes near the Wasserstein-1
distance between English and the rest; the encoder, behind the gradient reversal R
(`xgrl.models.grl`), descends lambda W. There is one critic, for English against the rest: domains
must be "binary", which also makes half of each batch English.

Deviation from the paper: one critic step an encoder step, at the discriminator's larger learning
rate, instead of several at the encoder's, so that all adversarial arms take the same steps.

Hyperparameters: lambda_max, gamma = 10, one hidden layer of 256. `domain_loss` in the curves is -W.

Source: Shen et al. 2018, "Wasserstein Distance Guided Representation Learning for Domain
Adaptation" (AAAI), equations 2 to 5; the penalty of Gulrajani et al. 2017 (NeurIPS).
"""

import torch
from torch import Tensor, nn

from xgrl.arms.base import ArmSettings, own_generator
from xgrl.arms.dann import DANN, Asked
from xgrl.models.grl import lambda_at, perceptron
from xgrl.models.task_model import Step, Term

PENALTY = 10.0


class WDGRL(DANN):
    """Critic between English (domain 0) and the rest (domain 1)."""

    def __init__(self, settings: ArmSettings):
        if settings.domains != 2:
            given = f"domains={settings.domains}"
            raise ValueError(f"{given}: wdgrl separates English from the rest, that is two domains")
        super().__init__(settings)
        self.generator = own_generator()

    def discriminator(self) -> nn.Module:
        return perceptron(self.settings.features, 1, self.settings.width, self.settings.depth)

    def penalty(self, critic: nn.Module, features: Tensor, domains: Tensor) -> Tensor:
        """How far the critic's slope is from 1 between English and foreign features, squared."""
        english, foreign = features[domains == 0], features[domains == 1]
        count = max(len(english), len(foreign))
        index = torch.arange(count, device=features.device)
        english, foreign = english[index % len(english)], foreign[index % len(foreign)]
        share = torch.rand(count, 1, generator=self.generator).to(features)
        between = (english + share * (foreign - english)).requires_grad_()
        slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
        return ((slope.norm(dim=-1) - 1) ** 2).mean()

    def judge(self, read: list[Tensor], asked: Asked) -> Term:
        losses, distances, (domains, _) = [], [], asked
        for number, critic in enumerate(self.discriminators):
            features = read[number // self.settings.discriminators]
            values = critic(features).squeeze(-1)
            distances.append(values[domains == 0].mean() - values[domains == 1].mean())
            losses.append(
                PENALTY * self.penalty(critic, features.detach(), domains) - distances[-1]
            )
        return sum(losses) / len(losses), {"domain_loss": -(sum(distances) / len(losses)).item()}

    def forward(self, step: Step) -> Term:
        if len(step.domains.unique()) < 2:  # one domain only: no distance to speak of
            settings = self.settings
            return 0.0, {"lambda": lambda_at(step.progress, settings.lambda_max, settings.warmup)}
        return super().forward(step)
