"""The domain-adversarial arm and its A/A control.

With pooled features f of unlabelled texts, their domains d (languages, or English against the rest), discriminator D:

    DANN:     L_arm = CE(D(R_lambda(f)), d)       R: gradient reversal (`xgrl.models.grl`)
    Control:  L_arm = CE(D(stop_gradient(f)), d)

In both the discriminator descends its own loss at full weight. In DANN the encoder ascends it, weighted by lambda; in
Control nothing reaches the encoder, at the same compute: what an unopposed discriminator achieves is read there.
DANN with lambda_max 0 equals Control bit for bit.

Source: Ganin et al. 2016 (JMLR 17). For transformers lambda_max of 0.005 to 0.1 has been used.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xgrl.arms.base import Arm, ArmSettings
from xgrl.models.grl import Discriminator, gradient_reversal, lambda_at


class DANN(Arm):
    """Gradient reversal and a language discriminator on pooled features."""

    needs_unlabelled = True

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.discriminator = Discriminator(settings.features, settings.domains)

    def opposed(self, features: Tensor, weight: float) -> Tensor:
        """What the discriminator sees of the features, and so what the encoder feels of it."""
        return gradient_reversal(features, weight)

    def forward(self, features: Tensor, domains: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        weight = lambda_at(progress, self.settings.lambda_max)
        logits = self.discriminator(self.opposed(features, weight))
        loss = cross_entropy(logits, domains)
        with torch.no_grad():
            accuracy = 100 * (logits.argmax(-1) == domains).double().mean().item()
        return loss, {"domain_loss": loss.item(), "discriminator_accuracy": accuracy, "lambda": weight}


class Control(DANN):
    """The same discriminator on detached features."""

    def opposed(self, features: Tensor, weight: float) -> Tensor:
        return features.detach()

    def forward(self, features: Tensor, domains: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        loss, curves = super().forward(features, domains, progress)
        return loss, curves | {"lambda": 0.0}
