"""Ganin's source domain: the labelled English texts stand in the discriminator's English half.

In Ganin et al. the source domain *is* the labelled texts. `xgrl.arms.dann` departs from that:
its discriminator sees unlabelled text of one corpus alone, so that genre cannot stand in for
language. With labelled texts x, domain "English", beside the others, each domain counts the same:

    L_arm = sum_i w_i CE(D(R_lambda(f_i)), d_i) / sum_i w_i,
    w_i = n_foreign / ((K - 1) n_English) for the n_English English texts, labelled or not; else 1

K domains. The encoder feels the reversed gradient on the labelled texts, too. Loss and accuracy are
the weighted ones, so that chance stays 1/K.

Here the discriminator can tell English by the task's genre. **dann-source-genre** isolates that:
the same adversary between labelled English and unlabelled *English* (d = 0 and 1, K = 2; the
unlabelled draws are English only), where nothing but genre differs and language is constant. What
dann-source does and this does as well is the hiding of genre, not of language.

Hyperparameters: as in DANN.

Source: Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks" (JMLR 17), section 3.
"""

import torch

from xgrl.arms.dann import DANN, Asked
from xgrl.models.task_model import Step


class Source(DANN):
    """DANN that judges the labelled texts as well."""

    def rows(self, step: Step) -> slice:
        return slice(None)

    def asked(self, step: Step) -> Asked:
        english, domains = self.settings.english, self.settings.domains
        labelled = step.domains.new_full((step.count,), english)
        answers = torch.cat([labelled, step.domains])
        weights = torch.ones(domains, device=answers.device, dtype=step.hidden.dtype)
        foreign = (answers != english).sum()
        weights[english] = foreign.clamp_min(1) / ((domains - 1) * (len(answers) - foreign))
        return answers, weights
