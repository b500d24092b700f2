"""The arm leace at work: its map is fitted with a checkpoint's encoder on unlabelled text.

Only layers above the frozen ones are run, over their stored output where there is one.
"""

from collections.abc import Callable

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from xgrl.arms import arm_spec
from xgrl.arms.base import Standard
from xgrl.arms.leace import Erasure, Moments
from xgrl.models.heads import mean_pool
from xgrl.models.task_model import TaskModel
from xgrl.prepare.folder import Prepared
from xgrl.training.batches import hidden_batches


def fit_erasure(
    prepared: Prepared, encoder: PreTrainedModel, layer: int = -1, tokens: bool = False
) -> Erasure:
    """The map that erases language from the means of texts, or from `tokens`, after a layer of the
    trained part (0 is what goes in, -1 the last); in evaluation mode afterwards.
    """
    model = TaskModel(prepared.trainable(encoder), nn.Identity(), Standard())
    corpus = prepared.corpus("unlabelled")
    moments = Moments(encoder.config.hidden_size, len(prepared.unlabelled_languages))
    for rows, hidden, mask in hidden_batches(model, corpus, layer):
        x = hidden[mask == 1] if tokens else mean_pool(hidden, mask)
        counts = mask.sum(1).cpu().numpy() if tokens else 1
        moments.add(x.cpu().numpy(), np.repeat(corpus.labels[rows], counts))
    return Erasure(moments).to(next(model.parameters()).device)


def retrieval_change(
    arm: str, prepared: Prepared, encoder: PreTrainedModel, layer: int = -1
) -> Callable[[np.ndarray], np.ndarray] | None:
    """What an arm does to the vectors (n, H) of a layer that search without training, if anything;
    encoder: the arm's checkpoint as it is.
    """
    spec = arm_spec(arm)
    return fit_erasure(prepared, encoder, layer).vectors if spec.erases else spec.vectors
