"""The domain-adversarial arm, and its controls.

With features f of texts without labels, their domains d (languages, or English against the rest),
discriminator D:

    DANN:      L_arm = CE(D(R_lambda(f)), d)       R: gradient reversal (`xgrl.models.grl`)
    Control:   L_arm = CE(D(stop_gradient(f)), d)
    Shuffled:  L_arm = CE(D(R_lambda(f)), pi(d))   pi: a new permutation inside every batch
    Noise:     L_arm = CE(D(N(f)), d)              N: identity, backwards Gaussian noise

In all of them the discriminator descends its own loss at full weight. In DANN the encoder ascends
it, weighted by lambda(p), p the share of training done (`xgrl.models.grl.lambda_at`):

    dL/dtheta_encoder = dL_task/dtheta_encoder - lambda * dL_arm/df * df/dtheta_encoder

In Control nothing reaches the encoder, at the same compute: what an unopposed discriminator
achieves is read there, and DANN with lambda_max 0 equals it bit for bit.

What dann does and one of these does as well is not the hiding of languages:

* Noise: a gradient of the same norm in a random direction, one for each thing that D reads (text or
  token): under the dose "ratio" the norm is dann's by construction, under "lambda" it is what its
  own, unopposed D would send.
* pseudo-domains: DANN on labels that say nothing about language, dealt to the texts once a run, as
  many and as frequent as the domains: an adversary that has something to learn, by heart.
* length-adversary: DANN on which quantile a text's length lies in, as many as there are domains.
  Texts of one batch are near in length: bins differ mostly between batches.
* Shuffled: labels at random in every batch. Nothing can be learned of them, so that D stays near
  its prior and its gradient is small, about a tenth of dann's: no control for the perturbation.

*Dose.* The same lambda is another dose for every task and learning rate. With the dose "ratio" the
reversed gradient at the hidden states h of each layer that is read is scaled to the norm

    lambda(p) * m,    m <- 0.9 m + 0.1 ||dL_task/dh||

in every step, so that lambda_max is its share of the task's (running mean as in GradNorm); of K
layers that are read each has a Kth, as each has of the loss under the dose "lambda".

*Keeping up.* D may take several steps for one of the encoder (all but the last on detached features
of the same batch, by the trainer's own AdamW), learn for a while before it is opposed (warmup), be
larger, be several from other first weights (mean of their losses), or be replaced by a fresh one,
of several one in turn, every n steps. Curves show what D makes of a batch before it learns from it.

What D sees of a text (settings `tokens`, `layers`): the mean f = (1/T) sum_t h_t over its tokens,
or each h_t by itself with the text's label, so that position and word order cannot average out; of
the last trained layer, of one below it, or on each a D of its own (the mean of their losses).

Hyperparameters: lambda_max, of which 0.005 to 0.1 has been used with transformers; number of
domains; learning rate of D, which must be larger than the encoder's or the encoder outpaces it.

Source: Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks" (JMLR 17), sections 4
and 5; Chen et al. 2018, "GradNorm" (ICML, arXiv 1711.02257) for the dose; labels at random as a
control after Hewitt and Liang 2019 (EMNLP).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xgrl.arms.base import Arm, ArmSettings, own_generator
from xgrl.models.grl import Discriminator, gradient_reversal, lambda_at, norm_of, steered
from xgrl.models.heads import mean_pool
from xgrl.models.task_model import Step, Term

MEMORY = 0.9  # of the running mean of the task's gradient norm
Asked = tuple[Tensor, Tensor | None]  # answers (N,), what each class counts (K,), None: the same


class DANN(Arm):
    """Gradient reversal and a language discriminator, or several."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.seed = torch.initial_seed()  # those of later discriminators are counted from it
        count = len(settings.layers) * settings.discriminators
        # of the first layer, then of the next
        self.discriminators = nn.ModuleList(self.discriminator() for _ in range(count))
        self.register_buffer("task_norms", torch.zeros(len(settings.layers)))

    def discriminator(self) -> nn.Module:
        """A new discriminator."""
        s = self.settings
        return Discriminator(self.width(s), s.domains, s.width, s.depth)

    def width(self, settings: ArmSettings) -> int:
        """Size of what the discriminator reads."""
        return settings.features

    def renew(self, step: int) -> list[nn.Parameter]:
        every, count = self.settings.renewal, self.settings.discriminators
        if not every or not step or step % every:
            return []
        turn = step // every
        fresh = self.discriminators[(turn - 1) % count :: count]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed((self.seed + turn) % 2**63)
            for discriminator in fresh:
                discriminator.load_state_dict(self.discriminator().state_dict())
        return list(fresh.parameters())

    def rows(self, step: Step) -> slice:
        """The texts that the discriminator judges."""
        return slice(step.count, None)

    def features(self, step: Step, states: Tensor) -> Tensor:
        """What the discriminator reads, (N, width), of states (U, T, H) of the texts it judges."""
        mask = step.mask[self.rows(step)]
        return states[mask == 1] if self.settings.tokens else mean_pool(states, mask)

    def asked(self, step: Step) -> Asked:
        """What the discriminator is to answer for each text, (U,), drawn once a step."""
        return step.domains, None

    def opposed(self, step: Step, layer: int, states: Tensor, weight: float) -> Tensor:
        """What the discriminator reads of a layer (its place among `layers`), and so what the
        encoder feels of it.
        """
        if self.settings.dose == "lambda":
            return gradient_reversal(self.features(step, states), weight)
        return self.features(step, steered(states, weight, self.task_norm(step, layer)))

    def task_norm(self, step: Step, layer: int) -> Tensor:
        """Running mean of the norm of the task's gradient at a layer's hidden states."""
        (slope,) = torch.autograd.grad(step.task_loss, step.read[layer], retain_graph=True)
        norm, before = norm_of(slope).to(self.task_norms), self.task_norms[layer]
        norm = torch.where(before > 0, MEMORY * before + (1 - MEMORY) * norm, norm)
        self.task_norms[layer] = norm
        return norm

    def judge(self, read: list[Tensor], asked: Asked) -> Term:
        """The discriminators' mean loss on the features of each layer, and curves: the loss, and
        the accuracy on the last layer.
        """
        losses, right, (answers, weights) = [], [], asked
        for layer, features in enumerate(read):
            first = layer * self.settings.discriminators
            for discriminator in self.discriminators[first : first + self.settings.discriminators]:
                logits = discriminator(features)
                losses.append(cross_entropy(logits, answers, weights))
                right.append((logits.detach().argmax(-1) == answers).double())
        loss = sum(losses) / len(losses)
        last = torch.stack(right[-self.settings.discriminators :]).mean(0)
        counts = torch.ones_like(last) if weights is None else weights[answers].double()
        accuracy = 100 * ((last * counts).sum() / counts.sum()).item()
        return loss, {"domain_loss": loss.item(), "discriminator_accuracy": accuracy}

    def forward(self, step: Step) -> Term:
        settings, rows, first = self.settings, self.rows(step), {}
        weight = lambda_at(step.progress, settings.lambda_max, settings.warmup)
        answers, weights = self.asked(step)
        if settings.tokens:
            answers = answers.repeat_interleave(step.mask[rows].sum(1))
        states, asked = [read[rows] for read in step.read], (answers, weights)
        for _ in range(settings.updates - 1):
            apart = [self.features(step, each.detach()) for each in states]
            loss, curves = self.judge(apart, asked)
            self.descend(loss)
            first = first or curves  # of texts that it has not been trained on in this step
        share = weight if settings.dose == "lambda" else weight / len(states)
        read = [self.opposed(step, layer, each, share) for layer, each in enumerate(states)]
        loss, curves = self.judge(read, asked)
        return loss, (first or curves) | {"lambda": weight}


class Control(DANN):
    """The same discriminator on detached features."""

    def opposed(self, step: Step, layer: int, states: Tensor, weight: float) -> Tensor:
        return self.features(step, states.detach())

    def forward(self, step: Step) -> Term:
        loss, curves = super().forward(step)
        return loss, curves | {"lambda": 0.0}


class Shuffled(DANN):
    """The same adversary with labels that its own generator permutes in every batch."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.generator = own_generator()

    def asked(self, step: Step) -> Asked:
        order = torch.randperm(len(step.domains), generator=self.generator)
        return step.domains[order.to(step.domains.device)], None


class Noise(DANN):
    """Gaussian noise of its own generator in the place of the reversed gradient."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.generator = own_generator()

    def opposed(self, step: Step, layer: int, states: Tensor, weight: float) -> Tensor:
        mask, one = step.mask[self.rows(step)].unsqueeze(-1), not self.settings.tokens
        size = (len(states), 1 if one else states.shape[1], states.shape[2])
        noise = torch.randn(size, generator=self.generator).to(states) * mask
        noise = noise / mask.sum(1, keepdim=True) if one else noise  # as a mean sends it back
        norm = self.task_norm(step, layer) if self.settings.dose == "ratio" else None
        return self.features(step, steered(states, weight, norm, noise))
