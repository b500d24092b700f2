"""What a training run says of itself: is the adversary at work, outpaced or dead, what did it cost?

* The discriminator's accuracy over the last fifth of the steps, with its exact interval, against
  chance. Significantly *below* chance it was outpaced: the encoder moves features to where it errs,
  with the language still in them.
* Gradients: the norm of the task's and of the arm's gradient in the encoder's trained weights, and
  their cosine: 0 where they have nothing to do with each other, negative where one undoes the
  other. The same norms at the features, the hidden states that the arm reads, and their ratio: the
  dose, which is comparable between tasks and learning rates.
* Effective rank of the features, exp of the entropy of the normalised singular values (Roy and
  Vetterli 2007, EUSIPCO), and their norm: both fall where features collapse.
* Floating-point operations, counted by torch's own formulas while one step is taken.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from xgrl.models.task_model import TaskModel, mixed_precision
from xgrl.stats import exact_binomial
from xgrl.training.batches import JointBatches

GRADIENTS = (  # curves
    "task_gradient_norm", "arm_gradient_norm", "gradient_cosine", "task_feature_gradient",
    "arm_feature_gradient", "gradient_ratio",
)  # fmt: skip


def gradients(
    task_loss: Tensor, term: Tensor, weights: Sequence[nn.Parameter], features: Tensor
) -> dict[str, float]:
    """Norms of the gradients that both losses send into some weights, and their cosine; norms at
    the features, and the arm's as a share of the task's.

    task_loss: a number with its graph, which is kept; term: the arm's, as it is added to the loss:
    reversed and weighted; weights: of the encoder; features: what it makes of the batch, any shape.
    Returns `GRADIENTS`, the cosine and the ratio NaN where a norm that they divide by is 0; nothing
    where the term does not reach the weights.
    """
    places = [*weights, features]
    felt = torch.autograd.grad(term, places, retain_graph=True, allow_unused=True)
    if all(gradient is None for gradient in felt):
        return {}
    felt = [torch.zeros_like(w) if g is None else g for w, g in zip(places, felt, strict=True)]
    settings = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    own = torch.autograd.grad(task_loss, places, **settings)
    a, b = (torch.cat([g.flatten() for g in grads[:-1]]) for grads in (own, felt))
    norms = a.norm().item(), b.norm().item()
    cosine = (a @ b).item() / (norms[0] * norms[1]) if all(norms) else float("nan")
    at = own[-1].float().norm().item(), felt[-1].float().norm().item()
    ratio = at[1] / at[0] if at[0] else float("nan")
    return dict(zip(GRADIENTS, (*norms, cosine, *at, ratio), strict=True))


def rounding(features: np.ndarray) -> float:
    """The norm up to which differences between features (n, H) are nothing but rounding."""
    return np.finfo(features.dtype).eps * max(features.shape) * np.linalg.norm(features)


def effective_rank(features: np.ndarray) -> float:
    """Effective rank of centred features (n, H), 1 to min(n, H); 0: all the same but for rounding.

    Source: Roy and Vetterli 2007, "The effective rank" (EUSIPCO), definition 1.
    """
    values = np.linalg.svd(features - features.mean(0), compute_uv=False)
    if not values.max() > rounding(features):
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(np.where(shares > 0, shares, 1))).sum()))


class _Operations(TorchDispatchMode):
    """Adds torch's own formulas up; `FlopCounterMode` cannot stand `autograd.grad`."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function.overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def training_flops(model: TaskModel, data: JointBatches) -> int:
    """Floating-point operations of all steps of a trained model, whose weights stay as they are:
    those of the middle step, forward and backward, times the padded tokens. Counted are matrix
    products, attention included, no element-wise operations.
    """
    device, middle = next(model.parameters()).device, data[len(data) // 2]
    batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in middle.items()}
    before = model.training
    model.train()
    with torch.random.fork_rng(devices=[]), sdpa_kernel(SDPBackend.MATH), _Operations() as counter:
        with mixed_precision(device):  # what fitted into a card's memory still does
            task_loss, term, _ = model(progress=0.5, **batch)
        (task_loss + term).backward()
    model.zero_grad()
    model.train(before)
    return round(counter.total * data.seen()["padded_tokens"] / batch["attention_mask"].numel())


def diagnose(
    curves: pd.DataFrame, chance: float, unlabelled_batch_size: int
) -> tuple[dict[str, float | None], list[str]]:
    """What the curves say at the end of training, and what a reader must be warned of.

    curves: of `xgrl.training.trainer.fit`; chance: accuracy of guessing the domain, in percent;
    unlabelled_batch_size: texts behind each step's discriminator accuracy. Returns
    ``discriminator_accuracy`` over the last fifth of the steps (None without a discriminator) with
    its exact 95 % interval, its chance level, the first and last feature norm, and the means of the
    gradients' norms and cosine; and warnings: a discriminator significantly below chance was
    outpaced by the encoder rather than confused (one-sided exact binomial test at .01), a feature
    norm that fell below half has collapsed.
    """
    last = curves.tail(max(1, len(curves) // 5))
    accuracy, low, high = last["discriminator_accuracy"].mean(), np.nan, np.nan
    first_norm, last_norm = curves["feature_norm"].iloc[[0, -1]].tolist()
    warnings = []
    if np.isfinite(accuracy):
        texts = len(last) * unlabelled_batch_size
        right = round(accuracy / 100 * texts)
        low, high = (100 * share for share in exact_binomial(right, texts, 0.95))
        if binomtest(right, texts, chance / 100, alternative="less").pvalue < 0.01:
            warnings.append(
                f"discriminator accuracy {accuracy:.1f} % lies below chance ({chance:.1f} %): the "
                f"encoder outpaced it, which is not the same as hiding the language"
            )
    if last_norm < first_norm / 2:
        norms = f"from {first_norm:.2f} to {last_norm:.2f}"
        warnings.append(f"feature norm fell {norms}: the features may have collapsed")
    numbers = {"discriminator_accuracy": accuracy, "discriminator_low": low}
    numbers |= {"discriminator_high": high, "feature_norm_first": first_norm}
    numbers |= {"feature_norm_last": last_norm} | curves[list(GRADIENTS)].mean().to_dict()
    numbers = {k: float(value) if np.isfinite(value) else None for k, value in numbers.items()}
    return numbers | {"discriminator_chance": chance}, warnings
