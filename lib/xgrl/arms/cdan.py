"""The conditional adversary: the discriminator knows what the task's head predicts.

DANN matches the languages' distributions of features f as a whole, and may do so by putting one
class of one language on another class of the other. CDAN lets the discriminator see features and
predictions together, by their outer product:

    g = softmax(head(f_last layer)),  C classes,         no gradient through it, no dropout in it
    L_arm = CE(D(vec(R_lambda(f) (x) g)), d),            vec(f (x) g) in R^(H C)

so that the languages are aligned class by class. lambda and D as in `xgrl.arms.dann`. The
predictions are those of the intermediate task's head on the unlabelled texts, which are not of that
task's kind: where the head is nearly constant on them, g adds nothing and CDAN is DANN.

It needs classes: intermediate tasks of the format classification. The randomised version for large
H C and the weighting by entropy (CDAN+E) of the paper are left out.

Hyperparameters: as in DANN.

Source: Long et al. 2018, "Conditional Adversarial Domain Adaptation" (NeurIPS), equations 4 to 6.
"""

import torch
from torch import Tensor

from xgrl.arms.base import ArmSettings
from xgrl.arms.dann import DANN
from xgrl.models.task_model import Step


class CDAN(DANN):
    """DANN on features times predictions."""

    def width(self, settings: ArmSettings) -> int:
        if settings.classes < 2:
            given = f"classes={settings.classes}"
            raise ValueError(f"{given}: cdan conditions on class predictions, at least two classes")
        return settings.features * settings.classes

    def features(self, step: Step, states: Tensor) -> Tensor:
        features = super().features(step, states)
        with torch.no_grad():  # the head reads the last layer, whatever the discriminator reads
            last = super().features(step, step.hidden[self.rows(step)])
            predictions = step.model.head_of(step.task).linear(last).softmax(-1)
        return torch.einsum("nh,nc->nhc", features, predictions).flatten(1)
