"""The domain-adversarial arm, its A/A control, and its control with meaningless labels.

With features f of texts without labels, their domains d (languages, or English against the rest),
discriminator D:

    DANN:      L_arm = CE(D(R_lambda(f)), d)       R: gradient reversal (`xgrl.models.grl`)
    Control:   L_arm = CE(D(stop_gradient(f)), d)
    Shuffled:  L_arm = CE(D(R_lambda(f)), pi(d))   pi: a new permutation inside every batch

In all of them the discriminator descends its own loss at full weight. In DANN the encoder ascends
it, weighted by lambda(p), p the share of training done (`xgrl.models.grl.lambda_at`):

    dL/dtheta_encoder = dL_task/dtheta_encoder - lambda * dL_arm/df * df/dtheta_encoder

In Control nothing reaches the encoder, at the same compute: what an unopposed discriminator
achieves is read there, and DANN with lambda_max 0 equals it bit for bit. Shuffled keeps everything,
reversed gradient included, except that the labels say nothing about language: what dann does and
shuffled does as well is regularisation, not the hiding of languages.

What D sees of a text (settings `tokens`, `layer`): the mean f = (1/T) sum_t h_t over its tokens, or
each h_t by itself with the text's label, so that position and word order cannot average out; of the
last trained layer or of one below it.

Hyperparameters: lambda_max, of which 0.005 to 0.1 has been used with transformers; number of
domains; learning rate of D, which must be larger than the encoder's or the encoder outpaces it.

Source: Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks" (JMLR 17), sections 4
and 5; labels at random as a control after Hewitt and Liang 2019 (EMNLP).
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xgrl.arms.base import Arm, ArmSettings, own_generator
from xgrl.models.grl import Discriminator, gradient_reversal, lambda_at
from xgrl.models.heads import mean_pool
from xgrl.models.task_model import Step, Term


class DANN(Arm):
    """Gradient reversal and a language discriminator."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.discriminator = Discriminator(self.width(settings), settings.domains)

    def width(self, settings: ArmSettings) -> int:
        """Size of what the discriminator reads."""
        return settings.features

    def opposed(self, features: Tensor, weight: float) -> Tensor:
        """What the discriminator sees of the features, and so what the encoder feels of it."""
        return gradient_reversal(features, weight)

    def features(self, step: Step) -> tuple[Tensor, Tensor]:
        """What the discriminator is to judge, (N, width), and the right answers (N,)."""
        hidden, mask = step.read[step.count :], step.mask[step.count :]
        domains = self.answers(step.domains)
        if self.settings.tokens:
            return hidden[mask == 1], domains.repeat_interleave(mask.sum(1))
        return mean_pool(hidden, mask), domains

    def answers(self, domains: Tensor) -> Tensor:
        """What the discriminator is to answer for each text, (U,)."""
        return domains

    def forward(self, step: Step) -> Term:
        weight = lambda_at(step.progress, self.settings.lambda_max)
        features, domains = self.features(step)
        logits = self.discriminator(self.opposed(features, weight))
        loss = cross_entropy(logits, domains)
        with torch.no_grad():
            accuracy = 100 * (logits.argmax(-1) == domains).double().mean().item()
        curves = {"domain_loss": loss.item(), "discriminator_accuracy": accuracy}
        return loss, curves | {"lambda": weight}


class Control(DANN):
    """The same discriminator on detached features."""

    def opposed(self, features: Tensor, weight: float) -> Tensor:
        return features.detach()

    def forward(self, step: Step) -> Term:
        loss, curves = super().forward(step)
        return loss, curves | {"lambda": 0.0}


class Shuffled(DANN):
    """The same adversary with labels that its own generator permutes in every batch."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.generator = own_generator()

    def answers(self, domains: Tensor) -> Tensor:
        return domains[torch.randperm(len(domains), generator=self.generator).to(domains.device)]
