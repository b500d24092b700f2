"""The batches of a run: labelled and unlabelled text together, all decided before the first step.

* Batches are made of texts of similar lengths (buckets inside mega-batches), because padding in
  random order more than doubles the work; from a generator of their own, so that all arms of a
  block see the same labelled batches in the same order.
* The unlabelled texts of a step are drawn near the length of its labelled ones and balanced over
  domains, so that neither length nor frequency tells the discriminator the language.
* In a mixture of tasks each batch is of one task.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.utils.data import Dataset

from xgrl.models.task_model import TaskModel, mixed_precision
from xgrl.models.tokens import encoder_inputs, pad
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.encode import IGNORED

BATCH = 64  # sequences at once where nothing is trained


def collate(parts: Sequence[tuple[Corpus, Sequence[int]]], pad_id: int = 0) -> dict[str, Tensor]:
    """One padded batch of rows of some corpora, in the order given: what an encoder is called with.

    parts: pairs of a corpus and indices of its rows, B rows in all, L tokens in the longest.
    Returns what `xgrl.models.tokens.encoder_inputs` does or, where the corpora hold hidden states,
    attention_mask (B, L) int64 and inputs_embeds (B, L, H) float32, zero in unattended padding.
    """
    if parts[0][0].hidden is None:
        return encoder_inputs([(c.tokens, i) for c, rows in parts for i in rows], pad_id)
    spans = [(c, *c.tokens.offsets[i : i + 2]) for c, rows in parts for i in rows]
    values, mask = pad([c.hidden[start:end] for c, start, end in spans])
    return {"inputs_embeds": values, "attention_mask": mask}


@torch.inference_mode()
def hidden_batches(model: TaskModel, corpus: Corpus, layer=-1) -> Iterator[tuple]:
    """Batches of similar length, dropout off: sequences (B,), states (B, L, H), mask (B, L)."""
    model.eval()
    device, pad_id = next(model.parameters()).device, model.encoder.config.pad_token_id
    order = np.argsort(corpus.tokens.lengths, kind="stable")
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        inputs = {k: v.to(device) for k, v in collate([(corpus, rows)], pad_id).items()}
        with mixed_precision(device):
            hidden = model.hidden(layer, **inputs)
        yield rows, hidden.float(), inputs["attention_mask"]


def _taker(n: int, rng: Generator) -> Callable[[int], np.ndarray]:
    """A function that takes so many more numbers below n, of one permutation after another."""
    stream = np.empty(0, dtype=np.int64)

    def take(count: int) -> np.ndarray:
        nonlocal stream
        while len(stream) < count:
            stream = np.concatenate([stream, rng.permutation(n)])
        taken, stream = stream[:count], stream[count:]
        return taken

    return take


def length_buckets(
    lengths: np.ndarray, batch_size: int, steps: int, rng: Generator, mega: int = 100
) -> Iterator[np.ndarray]:
    """Exactly `steps` batches of `batch_size` text indices, of similar length in each mega-batch.

    The stream of texts is one fresh permutation after another, cut into mega-batches no larger than
    the corpus, lest batches be made of copies; they may straddle two epochs. Every text is used
    floor or ceil of (steps * batch_size / n) times. Depends
    on lengths, sizes and `rng` only, so two arms with equal generators see equal batches. Raises
    ValueError for an empty corpus or a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}")
    if len(lengths) == 0:
        raise ValueError("no batch can be drawn from an empty corpus")
    take, mega = _taker(len(lengths), rng), min(mega, max(1, len(lengths) // batch_size))
    for first in range(0, steps, mega):
        chunk = take(min(mega, steps - first) * batch_size)
        bucket = chunk[np.argsort(lengths[chunk], kind="stable")].reshape(-1, batch_size)
        yield from bucket[rng.permutation(len(bucket))]


def unlabelled_rows(
    lengths: np.ndarray, domains: np.ndarray, wanted: Iterator[float], batch_size: int,
    rng: Generator, window: int = 40,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Rows of unlabelled text for each step: balanced over domains, as long as the labelled texts.

    lengths: (n,) tokens of each unlabelled text; domains: (n,) its domain as an integer 0..K-1 (one
    of a negative domain is not drawn);
    wanted: for each step the length to come near; batch_size: texts a step; rng: its own stream;
    window: the draw is among so many texts of the domain that are nearest in length.
    """
    pools = [np.flatnonzero(domains == d) for d in range(int(domains.max()) + 1)]
    pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
    if min(map(len, pools)) == 0:
        raise ValueError("a domain has no unlabelled text")
    take = _taker(len(pools), rng)
    for length in wanted:
        rows = []
        for domain, count in zip(*np.unique(take(batch_size), return_counts=True), strict=True):
            pool = pools[domain]
            size = min(len(pool), max(window, int(count)))
            middle = np.searchsorted(lengths[pool], length)
            first = int(np.clip(middle - size // 2, 0, len(pool) - size))
            near = pool[first : first + size]
            rows.append(rng.choice(near, int(count), replace=bool(count > size)))
        yield np.concatenate(rows)


def translated_rows(
    ids: Sequence[str], translations: Sequence[str], batches: Iterable[np.ndarray], rng: Generator
) -> Iterator[np.ndarray]:
    """For each step one translation of every labelled text, in their order.

    ids: (n,) of the labelled texts; translations: (m,) ids "<id>|<language>", a labelled text
    without any gets another text's; batches: for each step the rows of its labelled texts.
    """
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(translations):
        rows_of.setdefault(name.rpartition("|")[0], []).append(row)
    for rows in batches:
        yield np.array([rng.choice(rows_of.get(ids[row]) or len(translations)) for row in rows])


def arm_labels(text: str, corpus: Corpus, domain_of: np.ndarray) -> np.ndarray:
    """What an arm is told of each unit of its text, integers (units,).

    text: its kind, as in `xgrl.arms.ArmSpec`; corpus: the text, of unlabelled text the labels are
    languages; domain_of: the domain of each of these languages.
    """
    if text == "pairs":
        return np.zeros(len(corpus.units) - 1, dtype=int)
    return domain_of[corpus.labels] if text == "unlabelled" else corpus.labels


def other_labels(
    asks: str, domains: np.ndarray, english: int, lengths: np.ndarray, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What a discriminator is to tell apart instead of the domains (n,) of texts, and the groups
    (n,) over which their draws are balanced, the domains as for all arms where nothing is said.

    asks: "" the domains; "pseudo-domains" as many labels, dealt at random and evenly to the texts
    of each domain; "length" as many quantiles of their `lengths`; "genre" 1, of English texts only
    (-1: not drawn), the labelled ones being 0. english: the domain of English.
    """
    count = int(domains.max()) + 1
    if asks == "genre":
        return np.ones_like(domains), np.where(domains == english, 0, -1)
    if asks == "length":
        edges = np.quantile(lengths, np.arange(1, count) / count)
        return np.searchsorted(edges, lengths), domains
    if asks == "pseudo-domains":
        order, labels = rng.permutation(len(domains)), np.empty_like(domains)
        labels[order[np.argsort(domains[order], kind="stable")]] = np.arange(len(domains)) % count
        return labels, domains
    return domains, domains


@dataclass(frozen=True)
class ArmTexts:
    """The texts that an arm sees beside the labelled ones of a run.

    labels: (units,) what the arm is told of each unit (`arm_labels`, `other_labels`); batch_size:
    texts a step; draw: generator of their draws; translations: they are translations of the
    labelled texts (ids "<id>|<language>"): each of these comes with one of its own, in place of
    texts balanced over domains; groups: (units,) over which the draws are balanced, a unit of a
    negative one is not drawn; None: over the labels.
    """

    corpus: Corpus
    labels: np.ndarray
    batch_size: int
    draw: Generator
    translations: bool = False
    groups: np.ndarray | None = None


def mixture(sizes: Mapping[str, int], steps: int, cap: int, rng: Generator) -> list[str]:
    """Which task each step's batch is from: at random by sizes of tasks, none counted above `cap`.

    Source: Phang et al. 2020 (arXiv 2005.13013), section 3.1, after T5's (arXiv 1910.10683).
    """
    if len(sizes) == 1:
        return list(sizes) * steps
    shares = np.array([min(size, cap) for size in sizes.values()], dtype=float)
    names = list(sizes)
    return [names[i] for i in rng.choice(len(names), size=steps, p=shares / shares.sum())]


class JointBatches(Dataset):
    """All batches of a run, in order: labelled rows first, then the arm's, padded together.

    labelled: the task's training corpus; or several by name, of which each batch takes one
    (`mixture`); steps: number of optimiser steps; batch_size: labelled examples a step (windows,
    where examples are cut into them); order: generator of the labelled order; arm_texts: the texts
    beside the labelled ones, None for arms that need none; pad_id: what fills up ``input_ids``;
    cap: largest size at which a corpus counts in a mixture; stage: of the run, by name. Its
    ``tasks``, ``rows`` and ``arm_rows`` are of each step the task's name, the units of the labelled
    corpus, and those of the arm's (an empty list where it has no texts).
    """

    def __init__(
        self, labelled: Corpus | Mapping[str, Corpus], steps: int, batch_size: int,
        order: Generator, arm_texts: ArmTexts | None = None, pad_id: int = 0, cap: int = 131_072,
        stage: str = "train",
    ):  # fmt: skip
        self.stage = stage
        self.labelled = {"": labelled} if isinstance(labelled, Corpus) else dict(labelled)
        self.arm_texts, self.pad_id, self.arm_rows = arm_texts, pad_id, []
        sizes = {name: len(corpus.ids) for name, corpus in self.labelled.items()}
        self.tasks = mixture(sizes, steps, cap, order)
        drawn = {
            name: length_buckets(corpus.lengths, batch_size, self.tasks.count(name), order)
            for name, corpus in self.labelled.items()
        }
        self.rows = [next(drawn[name]) for name in self.tasks]
        if arm_texts is not None:
            self.arm_rows = list(self._draw(arm_texts))

    def _draw(self, texts: ArmTexts) -> Iterator[np.ndarray]:
        """The units of the arm's texts for each step."""
        corpus = texts.corpus
        if texts.translations:
            ids = next(iter(self.labelled.values())).ids
            return translated_rows(ids, corpus.ids, self.rows, texts.draw)
        steps = zip(self.tasks, self.rows, strict=True)
        wanted = (self.labelled[task].lengths[rows].mean() for task, rows in steps)
        units = texts.batch_size // (2 if corpus.format == "pairs" else 1)
        groups = texts.labels if texts.groups is None else texts.groups
        return unlabelled_rows(corpus.lengths, groups, wanted, units, texts.draw)

    def __len__(self) -> int:
        return len(self.rows)

    def _sequences(self, step: int) -> list[tuple[Corpus, np.ndarray]]:
        """The corpora of a step and which of their sequences: labelled, then the arm's."""
        drawn = [(self.labelled[self.tasks[step]], self.rows[step])]
        if self.arm_texts is not None:
            drawn.append((self.arm_texts.corpus, self.arm_rows[step]))
        return [(corpus, corpus.sequences(units)) for corpus, units in drawn]

    def __getitem__(self, step: int) -> dict[str, Tensor | str]:
        drawn = self._sequences(step)
        batch = collate(drawn, self.pad_id)
        corpus, sequences = drawn[0]
        labels = batch_labels(corpus, self.rows[step], sequences, batch["attention_mask"].shape[1])
        domains = torch.empty(0, dtype=torch.long)
        if self.arm_texts is not None:
            units, texts = self.arm_rows[step], self.arm_texts
            each = np.repeat(texts.labels[units], np.diff(texts.corpus.units)[units])
            domains = torch.from_numpy(each.astype(np.int64))
        return batch | {"labels": labels, "domains": domains, "task": self.tasks[step]}

    def seen(self) -> dict[str, int]:
        """What a run sees: examples and tokens, labelled and not, and tokens with padding."""
        seen = dict.fromkeys(("labelled_examples", "labelled_tokens", "unlabelled_examples"), 0)
        seen |= {"unlabelled_tokens": 0, "padded_tokens": 0}
        for step, units in enumerate(self.rows):
            lengths = [corpus.tokens.lengths[rows] for corpus, rows in self._sequences(step)]
            seen["labelled_examples"] += len(units)
            seen["labelled_tokens"] += int(lengths[0].sum())
            seen["unlabelled_examples"] += sum(map(len, lengths[1:]))
            seen["unlabelled_tokens"] += int(sum(each.sum() for each in lengths[1:]))
            seen["padded_tokens"] += sum(map(len, lengths)) * int(max(map(max, lengths)))
        return seen


def batch_labels(corpus: Corpus, units: np.ndarray, sequences: np.ndarray, width: int) -> Tensor:
    """What the head of a corpus's format is told about a batch of `units` of a corpus, their
    sequences (S,) and `width` tokens with padding; shapes as in `xgrl.models.heads`.
    """
    if corpus.format == "span_qa":
        return torch.from_numpy(corpus.targets[sequences].astype(np.int64))
    if corpus.format == "tagging":
        offsets = corpus.tokens.offsets
        tags = [corpus.targets[offsets[i] : offsets[i + 1]] for i in sequences]
        tags, _ = pad(tags, IGNORED)
        return nn.functional.pad(tags, (0, width - tags.shape[1]), value=IGNORED)
    labels = torch.from_numpy(corpus.labels[units])
    if corpus.format == "multiple_choice":
        return torch.stack([labels, torch.from_numpy(np.diff(corpus.first)[units])], dim=1)
    return labels
