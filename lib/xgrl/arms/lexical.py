"""Lexical alignment: adapters on the lowest layers bring translations together.

LoRA adapters (W + (alpha / r) B A, B and A new, W as it was) on the query and value projections of
the layers up to `LAYER` are trained on translation pairs (a_i, b_i), English and foreign, i = 1 ..
P. With z the L2-normalised mean of a text's hidden states after layer `LAYER`, and for a negative
the other foreign text of the batch that is nearest to a_i:

    L_arm = lambda * mean_i max(0, margin + cos(z_ai, z_bj) - cos(z_ai, z_bi)),
    j = argmax_j cos(z_ai, z_bj) over pairs that share no text with pair i

Only the adapters descend this loss, and nothing else moves them; the task is learned above by the
trained layers, as in the standard arm. Layers up to `LAYER` are otherwise frozen, also in a study
that trains all others. After training the adapters are added into W, so that the checkpoint is an
ordinary one.

Lower layers change, so their stored output cannot be used, here or at the target stage.

Differences from the paper: an encoder instead of an 8B decoder, sentences as well as words as
pairs, the hardest negative of the batch; adapters are trained beside the intermediate task instead
of before everything.

Hyperparameters: r 16, alpha 32, dropout 0.05 on query and value, layer 2 (the paper's); margin 0.2;
lambda_max (constant; AdamW takes it out again); the adapters' learning rate, which study files give
as this arm's own ``discriminator_learning_rate``: at that of a discriminator, 5e-3, the adapters
changed the lower layers until the task was 4.4 points worse in English.

Source: Ngugi 2025, "Targeted Lexical Injection" (arXiv 2506.15415); Hu et al. 2022 (LoRA, arXiv
2106.09685). The adapters are `peft`'s.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xgrl.arms.alignment import repeated_pairs
from xgrl.arms.base import Arm
from xgrl.models.heads import mean_pool
from xgrl.models.split import Chain, layer_stack, prefix, top
from xgrl.models.task_model import Inputs, Step, Term

LAYER, RANK, ALPHA, DROPOUT, MARGIN = 2, 16, 32, 0.05, 0.2
PROJECTIONS = ("query", "value")  # names of the linear layers in BERT and XLM-R


def triplet_loss(
    english: Tensor, foreign: Tensor, repeated: Tensor, margin: float = MARGIN
) -> Tensor:
    """Mean hinge loss of P >= 2 pairs of unit vectors (P, H) against the nearest foreign one.

    repeated: (P, P) bool, pairs i and j of which one text is the same, the diagonal among them;
    they are no negatives of each other.
    """
    cosine = english @ foreign.T
    right, negative = cosine.diagonal(), cosine.masked_fill(repeated, -torch.inf).amax(1)
    return relu(margin + negative - right).mean()


class Lexical(Arm):
    """Adapters on the lowest layers, a triplet loss on translation pairs; `early` holds both."""

    @staticmethod
    def lacking(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
        if (depth := len(layer_stack(model))) <= LAYER:
            return f"adapters on layers up to {LAYER} need a deeper encoder than one of {depth}"
        if not any(name.rsplit(".", 1)[-1] in PROJECTIONS for name, _ in model.named_modules()):
            return f"{type(model).__name__} has no linear layers named {' and '.join(PROJECTIONS)}"
        return ""

    def attach(self, model: PreTrainedModel, trained: nn.Module) -> nn.Module:
        # not on import, which every job pays for
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        upper = trained.parts[-1] if isinstance(trained, Chain) else trained
        frozen = len(layer_stack(model)) - len(layer_stack(upper))
        sizes = {"r": RANK, "lora_alpha": ALPHA, "lora_dropout": DROPOUT}
        config = LoraConfig(**sizes, target_modules=list(PROJECTIONS))
        early = inject_adapter_in_model(config, prefix(model, LAYER))
        # in a tuple: a part of the encoder; of the arm are the adapters alone
        self.early = (early,)
        self.adapted = {k: m for k, m in early.named_modules() if isinstance(m, LoraLayer)}
        self.adapters = nn.ParameterList(w for w in early.parameters() if w.requires_grad)
        between = [top(prefix(model, frozen), LAYER)] if frozen > LAYER else []
        return Chain(early, *between, top(model, max(frozen, LAYER)))

    def detach(self, model: PreTrainedModel) -> None:
        modules = dict(model.named_modules())
        with torch.no_grad():
            for name, adapted in self.adapted.items():
                weight = modules[name].weight  # its adapter may be on a GPU
                weight += adapted.get_delta_weight("default").to(weight)

    def alter(self, inputs: Inputs, count: int, encoder: nn.Module) -> Inputs:
        # they go through the lowest layers only
        self.pairs = {name: values[count:] for name, values in inputs.items()}
        return {name: values[:count] for name, values in inputs.items()}

    def forward(self, step: Step) -> Term:
        for module in self.adapted.values():  # their dropout alone is on, and only here
            module.train(self.training)
        states = self.early[0](**self.pairs).last_hidden_state
        for module in self.adapted.values():
            module.eval()
        vectors = normalize(mean_pool(states, self.pairs["attention_mask"]), dim=-1)
        loss = triplet_loss(vectors[0::2], vectors[1::2], repeated_pairs(self.pairs))
        return self.weighted(loss)
