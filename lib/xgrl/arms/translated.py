"""Intermediate training on machine translations of the task's own rows as well ("translate-train").

Each labelled text x with label y comes with its translation t(x) into one of the languages that the
source has (01 deals the languages out to the rows in turn), and the same head is to find the same
label:

    L_arm = lambda * CE(head(f(t(x))), y)

It is the arm that is given most: labels in foreign languages. It shows what the unlabelled arms
could gain at best with such data, and is no zero-shot transfer in the strict sense, because the
languages of the translations are seen with labels (of another task).

It serves classification tasks of which the source has translations: MNLI (machine-translated for
XNLI) and the embedded sentiment task (human Polish, otherwise DeepL).

Hyperparameters: lambda_max (constant over training; 1 weighs both halves alike).

Source: Phang et al. 2020 (arXiv 2005.13013), section 3.3; Conneau et al. 2018 (XNLI, EMNLP),
"translate train".
"""

from xgrl.arms.base import Arm
from xgrl.models.task_model import Step, Term


class Translated(Arm):
    """The task's loss on translations; `Step.domains` are their labels."""

    def forward(self, step: Step) -> Term:
        rows = slice(step.count, None)
        loss = step.model.task_loss(step.hidden[rows], step.mask[rows], step.domains, step.task)
        return self.weighted(loss)
