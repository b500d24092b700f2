"""A tiny encoder, made-up corpora and a run of an arm on them."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from transformers import BertConfig, BertModel

from xgrl.arms import arm_class, arm_spec
from xgrl.arms.base import ArmSettings, Step
from xgrl.models.heads import ClassificationHead
from xgrl.models.split import Chain, prefix, top
from xgrl.models.task_model import TaskModel
from xgrl.models.tokens import Tokens
from xgrl.prepare.corpus import Corpus
from xgrl.training import batches, trainer


def encoder(dropout=0.1):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=1,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertModel(config, add_pooling_layer=False)


def corpus(n, low, high, labels, seed=0):
    """Random texts; label (or domain) k uses words of its own part of [low, high)."""
    rng = np.random.default_rng(seed)
    width = (high - low) // labels
    y = np.arange(n) % labels
    rows = [low + k * width + rng.integers(0, width, rng.integers(4, 12)) for k in y]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    return Corpus(
        [str(i) for i in range(n)],
        y.astype(np.int64),
        Tokens(np.concatenate(rows).astype(np.int32), offsets),
    )


@dataclass
class Run:
    model: TaskModel
    fit: trainer.Fit
    data: batches.JointBatches


def pairs(n=40):
    """Translation pairs: each English text is followed by its foreign one, the same words 25 ids
    further on.
    """
    english = corpus(n, 5, 25, 2, seed=2)
    texts = [row for i in range(n) for row in (english.tokens[i], english.tokens[i] + 25)]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in texts])]).astype(np.int64)
    tokens = Tokens(np.concatenate(texts).astype(np.int32), offsets)
    return Corpus(
        english.ids, np.arange(n), tokens, format="pairs", first=np.arange(0, 2 * n + 1, 2)
    )


def translations(labelled):
    """Every labelled text in one other language, 25 ids further on."""
    tokens = Tokens((labelled.tokens.ids + 25).astype(np.int32), labelled.tokens.offsets)
    return Corpus([f"{name}|xx" for name in labelled.ids], labelled.labels, tokens)


def tiny_run(
    arm="standard",
    steps=12,
    seed=0,
    lambda_max=0.1,
    k=0,
    base=None,
    labelled=None,
    unlabelled=None,
    settings=None,
    **rates,
) -> Run:
    base = base or encoder()
    labelled = labelled or corpus(64, 5, 25, 2)
    unlabelled = unlabelled or corpus(60, 25, 55, 2, seed=1)
    streams = trainer.generators(2005, "task", seed=seed)
    text = arm_spec(arm).text
    corpora = {"": None, "translated": translations(labelled), "pairs": pairs()}
    beside = corpora.get(text, unlabelled)
    if beside is not None:
        labels = batches.arm_labels(text, beside, np.arange(2))
        asked = arm_spec(arm).asks, labels, 0, beside.lengths, streams["labels"]
        labels, groups = batches.other_labels(*asked)
        draw = streams["unlabelled"]
        beside = batches.ArmTexts(beside, labels, 8, draw, text == "translated", groups)
    data = batches.JointBatches(labelled, steps, 8, streams["order"], beside, pad_id=1)
    head = trainer.new_head(base.config.hidden_size, {"": ("classification", 2)}, streams["head"])
    arm_settings = (
        ArmSettings(16, 2, lambda_max, classes=2, mask_id=4, special_ids=(0, 1, 2, 3, 4))
        if settings is None
        else settings
    )
    module = trainer.initialised(arm_class(arm), arm_settings, generator=streams["arm"])
    whole = top(base, k) if arm_spec(arm).cached or not k else Chain(prefix(base, k), top(base, k))
    model = TaskModel(module.attach(base, whole), head, module)
    optimisation = dict(
        learning_rate=1e-3,
        head_learning_rate=1e-2,
        discriminator_learning_rate=5e-3,
        weight_decay=0.01,
        warmup=0.1,
        max_grad_norm=1.0,
        # which run it is, where it is one: with outputs
        study="tiny",
        intermediate="task",
        arm=arm,
        seed=seed,
        steps=steps,
    )
    return Run(model, trainer.fit(model, data, optimisation | rates, streams["dropout"]), data)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def step_of(read, domains, progress=1.0, classes=2):
    """A step of unlabelled texts only, (U, T, H), whose task head is a fixed linear layer."""
    torch.manual_seed(5)
    head = ClassificationHead(read.shape[-1], classes, dropout=0.0).to(read.dtype).eval()
    model = SimpleNamespace(head_of=lambda task: head)
    inputs = {"attention_mask": torch.ones(read.shape[:2], dtype=torch.long)}
    return Step(
        model, inputs, read, [read], 0, torch.empty(0), domains, "", torch.tensor(0.0), progress
    )
