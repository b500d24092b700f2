"""Language probes: what a fresh classifier can still read from frozen features.

A domain-adversarial run claims to hide the language of a text from its features. The discriminator
that was trained against cannot certify that (the encoder may merely have outpaced it), so every
statement here comes from a *fresh* classifier that saw none of the training, on unlabelled
sentences held out for this purpose:

- language probe: accuracy on the other half of the documents, with the control task of Hewitt and
  Liang, "Designing and interpreting probes with control tasks" (EMNLP 2019): the same probe on
  labels drawn at random for each distinct text. Selectivity = accuracy - control. Two kinds of
  classifier: "linear", multinomial logistic regression; and "mlp", the training's own discriminator
  (`xgrl.models.grl.Discriminator`), retrained on features that hold still, with a small quadratic
  penalty, until its gradient vanishes: what an opponent of that size reads once it has converged;
- proxy A-distance, 2 (1 - 2 error), of Ben-David et al., "A theory of learning from different
  domains" (Machine Learning 2010).

Accuracies are in percent. Everything is deterministic given its seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import cross_entropy

from xgrl.models.grl import Discriminator
from xgrl.stats.intervals import exact_binomial
from xgrl.tasks.unlabelled import documents_apart

KINDS = ("linear", "mlp")
PENALTY = 0.1  # of the discriminator's weights, over the number of training texts
ITERATIONS = 500  # of L-BFGS, at most
FLAT = 1e-3  # largest entry of the gradient at which the discriminator counts as converged


@dataclass(frozen=True)
class Probe:
    """Held-out result of one probe; percent, selectivity in points; did its training converge?"""

    accuracy: float
    low: float
    high: float
    chance: float
    control: float
    selectivity: float
    n_test: int
    converged: bool


def language_probe(
    features: np.ndarray, languages: Sequence[str], seed: int = 0, kind: str = "linear",
    documents: np.ndarray | None = None,
) -> Probe:  # fmt: skip
    """Train a fresh classifier of the language on half of the texts and score it on the other half.

    features: (n, d) one vector a text; standardised with the training half's mean and deviation.
    languages: (n,) language code of each text; two or more languages with at least four texts each.
    seed: fixes the split, the control labels and the classifier's initialisation. kind: "linear"
    (logistic regression) or "mlp" (the discriminator, for what a linear probe cannot see).
    documents: (n,) of each text, never in both halves; None: each its own. A translation in the
    other half would have its content point at another language, and the probe below chance. Where
    all features are the same (collapsed) the accuracy is at chance and that of the control task,
    which then has one label, 100.

    Returns accuracy with its exact (Clopper-Pearson) 95 % interval, chance (share of the largest
    language), accuracy on the control task, selectivity, number of test texts, and whether the
    probe itself (not its control) converged. Raises ValueError for an unknown kind, features that
    are not finite, lengths that differ, fewer than two languages, too few texts or documents.

    Source: Hewitt and Liang (2019) for the control task and selectivity.
    """
    if kind not in KINDS:
        raise ValueError(f"language_probe: kind is {kind!r}, allowed are {', '.join(KINDS)}")
    x, codes = validated(features, languages)
    rng = np.random.default_rng(seed)
    train, test = _halves(codes, seed, documents)
    right, converged = _held_out(x, codes, train, test, kind, seed)
    # equal but for batch rounding
    _, kinds_of_text = np.unique(np.round(x / (x.std() or 1), 3), axis=0, return_inverse=True)
    control_labels = rng.permutation(codes)[kinds_of_text]  # a repeated text repeats its label
    control = 100 * _held_out(x, control_labels, train, test, kind, seed)[0] / len(test)
    n, accuracy = len(test), 100 * right / len(test)
    low, high = (100 * end for end in exact_binomial(right, n))
    chance = 100 * float(np.bincount(codes[test]).max()) / n
    return Probe(accuracy, low, high, chance, control, accuracy - control, n, converged)


def a_distance(
    source: np.ndarray, target: np.ndarray, seed: int = 0, documents: np.ndarray | None = None
) -> float:
    """Proxy A-distance: 0 where a linear classifier cannot tell two samples apart, 2 without error.

    source: (n, d) features of one domain. target: (m, d) of the other; the larger is thinned so
    that both weigh the same. seed: fixes thinning and split. documents: (n + m,) of source's, then
    target's texts, as in `language_probe`. Returns 2 (1 - 2 error) with the held-out error of a
    fresh linear classifier, not below 0.

    Source: Ben-David et al. (2010), section 4; Ganin et al., JMLR 2016, section 5.1.
    """
    n = min(len(source), len(target))
    rng = np.random.default_rng(seed)
    first, second = (np.sort(rng.permutation(len(side))[:n]) for side in (source, target))
    rows = np.concatenate([first, len(source) + second])
    x = np.concatenate([source, target])[rows]
    x, codes = validated(x, np.repeat(["source", "target"], n))
    train, test = _halves(codes, seed, None if documents is None else np.asarray(documents)[rows])
    right, _ = _held_out(x, codes, train, test, "linear", seed)
    return max(0.0, 2 * (1 - 2 * (1 - right / len(test))))


def validated(features: np.ndarray, languages: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Finite float64 features (n, d) and integer language codes (n,), or a ValueError."""
    x = np.asarray(features, dtype=np.float64)
    labels = np.asarray(languages, dtype=str)
    if x.ndim != 2 or len(x) != len(labels):
        shapes = f"{x.shape} and {labels.shape}"
        raise ValueError(f"features, languages of shape {shapes}; expected (n, d) and (n,)")
    if bad := int((~np.isfinite(x)).any(1).sum()):
        raise ValueError(f"{bad} of {len(x)} feature rows are not finite (diverged run?)")
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 2 or counts.min() < 4:
        sizes = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
        raise ValueError(f"found {sizes}; a probe needs 2 languages or more, 4 texts or more each")
    return x, codes


def _halves(
    codes: np.ndarray, seed: int, documents: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the test texts, every language halved by documents."""
    documents = np.arange(len(codes)) if documents is None else documents
    # [seed, 1]: not the numbers that the control labels are drawn with
    test = documents_apart(documents, codes, 0.5, np.random.default_rng([seed, 1]))
    if len({*zip(codes, test, strict=True)}) < 2 * len(set(codes)):
        raise ValueError("a language's texts are of too few documents to be halved by documents")
    return np.flatnonzero(~test), np.flatnonzero(test)


def _held_out(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, kind: str, seed: int
) -> tuple[int, bool]:
    """Right answers on `test` of a fresh classifier of the scaled `train`; did it converge?"""
    if (y[train] == y[train[0]]).all():  # control labels of features that collapsed
        return int((y[test] == y[train[0]]).sum()), True
    scaler = StandardScaler().fit(x[train])
    inside, outside = scaler.transform(x[train]), scaler.transform(x[test])
    if kind == "linear":
        model = LogisticRegression(C=0.1, max_iter=ITERATIONS).fit(inside, y[train])
        guess, converged = model.predict(outside), bool(model.n_iter_.max() < ITERATIONS)
    else:
        inputs = torch.from_numpy(inside).float(), torch.from_numpy(y[train])
        discriminator, converged = _retrain(*inputs, int(y.max()) + 1, seed)
        with torch.inference_mode():
            guess = discriminator(torch.from_numpy(outside).float()).argmax(1).numpy()
    return int((guess == y[test]).sum()), converged


def _retrain(x: torch.Tensor, y: torch.Tensor, n: int, seed: int) -> tuple[Discriminator, bool]:
    """A fresh discriminator of n languages, trained to an optimum, and whether it got there."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Discriminator(x.shape[1], n)
    weights = [p for p in model.parameters() if p.ndim > 1]
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=ITERATIONS, tolerance_grad=FLAT, line_search_fn="strong_wolfe"
    )  # full batch: no learning rate to choose, and an end that can be recognised

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        penalty = sum((w**2).sum() for w in weights)
        value = cross_entropy(model(x), y) + PENALTY / (2 * len(x)) * penalty
        value.backward()
        return value

    optimiser.step(loss)
    loss()  # the gradient where it stopped
    return model, max(p.grad.abs().max().item() for p in model.parameters()) <= FLAT
