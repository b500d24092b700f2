"""Multilingual masked language modelling, continued during intermediate training.

Of the tokens of the unlabelled texts 15 % are chosen (special ones never); of these 80 % become the
mask token, 10 % a random one, 10 % stay. From the last hidden states h of the chosen ones, with
word embedding E (V, H) of the study's vocabulary:

    s = LayerNorm(GELU(W h + b)) E^T + c,      L_arm = lambda * CE(s, the token that was there)

*The vocabulary is trimmed* to the V rows that some text of the study uses. The softmax runs over
these only: the loss is smaller than over the full vocabulary, candidates that no text of the study
has cannot be confused with the right one, and rows that are left out get no gradient, which with a
tied softmax they would. The arm is therefore close to continued pretraining, not equal to it. E
itself is trained only where no layer is frozen; W, b and c are new, because the encoder comes
without its language-modelling head.

Frozen layers read the masked tokens: their stored output is unused, a step runs the whole encoder.

*Text.* Data whose publishers ask that no language model be trained on them are not used: the
embedded study's discriminator text carries such a request (BIG-bench's canary), so that this arm
gets other text, `xgrl.tasks.messages`.

Hyperparameters: lambda_max (constant over training), share of masked tokens 0.15.

Source: Phang et al. 2020 (arXiv 2005.13013), section 3.2, "multilingual MLM"; Devlin et al. 2019
(arXiv 1810.04805), section 3.1, and Conneau et al. 2020 (arXiv 1911.02116).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xgrl.arms.base import Arm, ArmSettings, own_generator
from xgrl.models.task_model import Inputs, Step, Term

SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1
NONE = -100  # a token that is not asked for, torch's own ignore_index


class MLM(Arm):
    """Mask tokens of the unlabelled texts, and guess them."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        size = settings.features
        self.transform = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.LayerNorm(size))
        self.generator = own_generator()
        self.wanted = torch.empty(0, dtype=torch.long)

    @staticmethod
    def lacking(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
        has_mask = tokenizer.mask_token_id is not None
        return "" if has_mask else "the encoder's tokenizer has no mask token"

    def attach(self, model: PreTrainedModel, trained: nn.Module) -> nn.Module:
        words = model.get_input_embeddings().weight
        moving = {weight.data_ptr(): weight for weight in trained.parameters()}  # to a GPU
        # in a tuple: the encoder's own, trained or frozen, not a parameter of the arm
        self.words = (moving.get(words.data_ptr(), words.detach()),)
        self.bias = nn.Parameter(torch.zeros(len(words)))
        return trained

    def mask(self, ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Masked ids (U, T), and the ids that were there (U, T), -100 where none is asked for."""

        def chance() -> Tensor:
            return torch.rand(ids.shape, generator=self.generator).to(ids.device)

        special = torch.isin(ids, torch.tensor(self.settings.special_ids, device=ids.device))
        chosen = (chance() < SHARE) & (attention_mask == 1) & ~special
        fate = chance()
        anything = torch.randint(len(self.bias), ids.shape, generator=self.generator).to(ids.device)
        masked, random = fate < MASKED, (fate >= MASKED) & (fate < MASKED + RANDOM)
        changed = torch.where(chosen & masked, self.settings.mask_id, ids)
        changed = torch.where(chosen & random, anything, changed)
        return changed, torch.where(chosen, ids, NONE)

    def alter(self, inputs: Inputs, count: int, encoder: nn.Module) -> Inputs:
        ids = inputs["input_ids"]
        masked, self.wanted = self.mask(ids[count:], inputs["attention_mask"][count:])
        return inputs | {"input_ids": torch.cat([ids[:count], masked])}

    def forward(self, step: Step) -> Term:
        asked = self.wanted != NONE
        if not asked.any():
            return 0.0, {}
        scores = self.transform(step.hidden[step.count :][asked]) @ self.words[0].T + self.bias
        loss = cross_entropy(scores, self.wanted[asked])
        return self.weighted(loss)
