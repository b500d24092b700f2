"""Every format through real preparation, training, prediction and scores, on each architecture of
encoder.
"""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from small_encoders import encoder_folder
from small_study import prepare
from xgrl.arms import arm_spec
from xgrl.arms.base import Standard
from xgrl.evaluation import predict, readout
from xgrl.evaluation.metrics.official import f1_of
from xgrl.evaluation.spans import text_at
from xgrl.models.task_model import TaskModel
from xgrl.models.tokens import Tokens
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.folder import Prepared
from xgrl.runs import records
from xgrl.tasks import find_task
from xgrl.training import batches, trainer

TRAINED = ["xnli", "xcopa", "udpos", "panx", "xquad", "mlqa", "lareqa", "mewslix"]
PLAIN = ["tatoeba", "bucc2018"]
STUDY = {
    "intermediate": ["mnli", "squad2", "hellaswag", "ccg", "multitask"],
    "targets": [*TRAINED, *PLAIN],
    "languages": ["en", "de", "zh", "ru", "et", "th", "ar"],
    "train_rows": 400,
    "dev_rows": 60,
    "test_rows": 20,
    "retrieval_rows": 40,
    "max_length": 48,
    "trained_layers": -1,
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("bert"), **STUDY)


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("xlm-r", "modernbert")]
ARCHITECTURES = ["bert", *OTHERS]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def prepared(request, bert, tmp_path_factory) -> Prepared:
    if request.param == "bert":
        return bert
    folder = tmp_path_factory.mktemp(request.param)
    return prepare(folder, encoder=encoder_folder(request.param, folder / "encoder"), **STUDY)


def untrained(prepared: Prepared, target: str) -> TaskModel:
    encoder = prepared.encoder()
    head = torch.nn.Identity()
    if find_task(target, "target").format != "retrieval" or find_task(target, "target").trained:
        head = trainer.new_head(
            encoder.config.hidden_size, {"": prepared.head(target)}, np.random.default_rng(0)
        )
    return TaskModel(encoder, head, Standard())


def fit(model: TaskModel, corpus, steps: int, **changes) -> trainer.Fit:
    data = batches.JointBatches(corpus, steps, 16, np.random.default_rng(1), pad_id=1)
    rates = {
        "learning_rate": 3e-3,
        "head_learning_rate": 1e-2,
        "weight_decay": 0.01,
        "warmup": 0.1,
        "max_grad_norm": 1.0,
    }
    return trainer.fit(model, data, rates | changes, np.random.default_rng(2))


@pytest.mark.parametrize("target", TRAINED)
def test_a_target_is_trained_predicted_and_scored_in_every_language(prepared, target, tmp_path):
    model, place = untrained(prepared, target), f"target/{target}"
    if prepared.has(f"{place}/first"):
        assert fit(model, prepared.corpus(f"{place}/first"), 3).diverged is None
    train = prepared.corpus(f"{place}/train")
    assert train.labels is not None or train.targets is not None, "there is something to learn"
    result = fit(model, train, 6)
    assert result.diverged is None and np.isfinite(result.curves.task_loss).all()
    frame, scores, errors = predict.predict(model, prepared, target)
    has_classes = find_task(target, "target").format in ("classification", "multiple_choice")
    assert list(errors) == (list(scores) if has_classes else [])
    assert all(0 <= error <= 100 for error in errors.values())
    assert list(scores) == prepared.languages(target)
    summary = predict.summarise(frame, scores)
    assert all(0 <= value <= 100 for value in summary["scores"].values())
    parameters = {"study": "s", "intermediate": "none", "arm": "none", "target": target, "seed": 0}
    records.write_predictions(tmp_path, predict.complete(frame, parameters))
    for language, rows in frame.groupby("language"):
        retrieval = find_task(target, "target").format == "retrieval"
        corpus = prepared.corpus(f"{place}/{'queries' if retrieval else 'test'}-{language}")
        assert rows["example_id"].tolist() == corpus.ids
        if "matched" in rows:
            sums = rows[list(records.COUNTS)].sum().to_numpy()
            found = f1_of(sums)
            assert found == pytest.approx(summary["scores"][language]), (
                "counts give the official F1"
            )
        else:
            assert rows["score"].mean() == pytest.approx(summary["scores"][language]), (
                "an example's score is its share"
            )


@pytest.mark.parametrize("target", PLAIN)
def test_plain_retrieval_needs_no_training_and_takes_any_layer(prepared, target):
    model = untrained(prepared, target)
    last, *_ = predict.predict(model, prepared, target, model.encoder.config.num_hidden_layers)
    frame, scores, _ = predict.predict(model, prepared, target)
    # which normalises once more after its last layer
    if prepared.encoder().config.model_type != "modernbert":
        assert frame.equals(last)
    assert set(scores) == set(prepared.languages(target)) and "en" not in scores


@pytest.mark.slow
@pytest.mark.parametrize("task", ["mnli", "squad2", "hellaswag", "ccg"])
def test_each_format_is_learned(bert, task):
    name = f"intermediate/{task}"
    encoder = bert.encoder()
    head = trainer.new_head(
        encoder.config.hidden_size, {"": bert.head(task, "intermediate")}, np.random.default_rng(0)
    )
    model = TaskModel(encoder, head, Standard())
    train = bert.corpus(f"{name}/train")
    before, count, majority = readout.dev_accuracy(model, bert.corpus(f"{name}/dev"))
    result = fit(model, train, 200)
    after, count, _ = readout.dev_accuracy(model, bert.corpus(f"{name}/dev"))
    first, last = result.curves.task_loss.head(20).mean(), result.curves.task_loss.tail(20).mean()
    assert last < 0.8 * first, (first, last)
    assert after > before and 100 * after / count > majority, (before, after, count, majority)


def test_a_mixture_draws_homogeneous_batches_and_shares_the_heads_it_should(bert):
    parts = bert.tasks("multitask")
    assert parts == ["mnli", "squad2", "hellaswag", "ccg"] and bert.tasks("mnli") == ["mnli"]
    shared = {task: find_task(task, "intermediate").head or task for task in parts}
    assert shared["mnli"] == find_task("anli", "intermediate").head == "three-way"
    train = {task: bert.corpus(f"intermediate/{task}/train") for task in parts}
    data = batches.JointBatches(train, 40, 4, np.random.default_rng(0), pad_id=1)
    assert {data.tasks[i] for i in range(40)} == set(parts)
    encoder = bert.encoder()
    heads = {shared[task]: bert.head(task, "intermediate") for task in parts}
    head = trainer.new_head(encoder.config.hidden_size, heads, np.random.default_rng(0))
    model = TaskModel(encoder, head, Standard(), shared)
    rates = {
        "learning_rate": 1e-3,
        "head_learning_rate": 1e-2,
        "weight_decay": 0.01,
        "warmup": 0.1,
        "max_grad_norm": 1.0,
    }
    before = {name: [p.clone() for p in part.parameters()] for name, part in head.items()}
    assert trainer.fit(model, data, rates, np.random.default_rng(0)).diverged is None
    for name, part in head.items():
        assert any(
            not torch.equal(a, b) for a, b in zip(before[name], part.parameters(), strict=True)
        ), f"{name} was not trained"
    for task in parts:
        right, count, majority = readout.dev_accuracy(
            model, bert.corpus(f"intermediate/{task}/dev"), task
        )
        assert 0 <= right <= count and 0 <= majority <= 100


@pytest.mark.slow
def test_a_cached_prefix_serves_every_format(tmp_path):
    whole = prepare(
        tmp_path / "a", **STUDY | {"targets": ["udpos", "xquad"], "intermediate": ["hellaswag"]}
    )
    half = prepare(
        tmp_path / "b",
        **STUDY
        | {"targets": ["udpos", "xquad"], "intermediate": ["hellaswag"], "trained_layers": 2},
    )
    for target in ("udpos", "xquad"):
        found = []
        for one in (whole, half):
            encoder = one.encoder()
            head = trainer.new_head(32, {"": one.head(target)}, np.random.default_rng(0))
            model = TaskModel(one.trainable(encoder), head, Standard())
            found.append(predict.predict(model, one, target)[0])
        assert found[0]["prediction"].equals(found[1]["prediction"])


@pytest.mark.slow
def test_an_encoder_of_which_nothing_is_stored_finds_the_same(tmp_path):
    one = prepare(
        tmp_path,
        **STUDY
        | {"targets": ["udpos", "tatoeba"], "intermediate": ["hellaswag"], "trained_layers": 2},
    )
    tagger = trainer.new_head(32, {"": one.head("udpos")}, np.random.default_rng(0))
    for target, head in (("udpos", tagger), ("tatoeba", torch.nn.Identity())):
        found = []
        for way in (one, one.uncached()):
            model = TaskModel(way.trainable(way.encoder()), head, Standard())
            found.append(predict.predict(model, way, target)[0])
        assert found[0]["prediction"].equals(found[1]["prediction"])
    assert (
        one.uncached().corpus("target/udpos/dev").hidden
        is None
        is not one.corpus("target/udpos/dev").hidden
    )


def test_centring_undoes_an_offset_of_a_language(bert):
    """Queries moved by a constant find the same once each side's mean is taken away."""
    change, moved = arm_spec("centring").vectors, []

    def with_offset(vectors):
        moved.append(len(moved))
        return change(vectors + 100.0 * (len(moved) % 2))

    model = untrained(bert, "tatoeba")
    plain, shifted = (
        predict.predict(model, bert, "tatoeba", change=c)[0] for c in (change, with_offset)
    )
    assert len(moved) > 2 and (plain["prediction"] == shifted["prediction"]).mean() > 0.99


def test_calibration_error():
    right, sure = np.array([True, True, False, False]), np.array([0.95, 0.95, 0.95, 0.55])
    assert predict.calibration_error(right, sure) == pytest.approx(
        100 * (3 * abs(2 / 3 - 0.95) + 0.55) / 4
    )
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1, 50_000)
    assert predict.calibration_error(rng.random(50_000) < sure, sure) < 1.0
    assert predict.calibration_error(np.array([True]), np.array([1.0])) == 0


def test_answers_are_cut_out_of_the_context(bert, monkeypatch):
    model = untrained(bert, "xquad")
    corpus = bert.corpus("target/xquad/test-de")
    contexts, answers = corpus.column("context"), corpus.column("answers")
    texts, golds, _, (found, right) = readout.read_out(model, corpus)
    assert found == readout.answer(model, corpus)
    assert texts == [text_at(*each) for each in zip(contexts, found, strict=True)]
    assert all(text and text == text.strip() for text in texts)
    assert golds == [each["text"] for each in answers] and all(golds)
    assert golds == [
        [text_at(context, span) for span in spans]
        for context, spans in zip(contexts, right, strict=True)
    ]
    # every span scores 0, and so does no answer: only what is better than none is given
    with torch.no_grad():
        model.head.linear.weight.zero_()
        model.head.linear.bias.zero_()
    assert all(readout.answer(model, corpus, may_be_empty=True))
    monkeypatch.setattr(readout, "_best_span", lambda scores, origin: (-1.0, (0, 1)))
    assert readout.answer(model, corpus, may_be_empty=True) == [""] * len(corpus.ids)
    assert all(readout.answer(model, corpus))


@pytest.mark.parametrize("golds", [[], [""], ["", ""]])
def test_test_questions_without_an_answer_are_read_as_development_ones(
    bert, tmp_path, monkeypatch, golds
):
    model = untrained(bert, "xquad")
    corpora = {}
    for language in bert.languages("xquad"):
        corpus = bert.corpus(f"target/xquad/test-{language}")
        rows = pq.read_table(corpus.folder / "rows.parquet").to_pylist()
        for row in rows[::2]:  # every other question has no answer
            row["answers"] = {"text": golds, "answer_start": [0] * len(golds)}
        folder = tmp_path / language
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
        corpora[f"target/xquad/test-{language}"] = replace(corpus, folder=folder)
    monkeypatch.setattr(Prepared, "corpus", lambda self, name: corpora[name])
    # every span scores worse than none
    with torch.no_grad():
        model.head.linear.weight.zero_()
        model.head.linear.bias.zero_()
    monkeypatch.setattr(readout, "_best_span", lambda scores, origin: (-1.0, (0, 1)))
    frame, scores, _ = predict.predict(model, bert, "xquad")
    assert (frame.prediction == "").all()
    for name, corpus in corpora.items():
        right, count, _ = readout.dev_accuracy(model, corpus)
        assert right == (count + 1) // 2
        official = scores[name.rpartition("-")[2]]
        assert official["exact_match"] == pytest.approx(100 * right / count)


def test_equal_vectors_that_centring_makes_0_are_a_result(bert, monkeypatch):
    monkeypatch.setattr(readout, "features", lambda *_: np.ones((4, 3), np.float32))
    vectors = readout.unit_features(None, None, change=arm_spec("centring").vectors)
    assert (vectors == 0).all()


def test_cells_of_the_table_can_be_read_back():
    assert predict._text(["B-PER", "I-PER"]) == "B-PER I-PER"
    assert json.loads(predict._text(["two words", "x"])) == ["two words", "x"]
    assert predict._text("plain text") == "plain text" and predict._text(3) == "3"


class Stub:
    """What `predict.Search` gives, from vectors at hand."""

    def __init__(self, queries, candidates, golds, groups):
        self.vectors, self.golds, self.same = (queries, candidates), golds, groups

    def queries(self, language, kind=""):
        corpus = Corpus(
            [f"q{i}" for i in range(len(self.golds))],
            None,
            Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64)),
        )
        object.__setattr__(corpus, "column", lambda name: self.golds)
        return corpus, self.vectors[0]

    def candidates(self, language, kind=""):
        return np.array([f"c{i}" for i in range(len(self.vectors[1]))]), self.vectors[1]

    def groups(self, language, kind=""):
        return self.same


def test_equal_sentences_are_mined_once_and_are_in_no_result():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    golds = [[f"c{i}"] for i in range(6)]
    apart = (np.arange(6), np.arange(6))
    mined, known, _ = predict.mined_pairs(Stub(vectors, vectors, golds, apart), "de")
    assert set(mined) == known == {f"q{i}\tc{i}" for i in range(6)}
    repeated = vectors.copy()
    repeated[4] = repeated[1]  # query 4 has the text of query 1
    groups = (np.array([0, 1, 2, 3, 1, 5]), np.arange(6))
    mined, known, _ = predict.mined_pairs(Stub(repeated, vectors, golds, groups), "de")
    assert not {pair for pair in mined if pair.startswith(("q1\t", "q4\t"))} and len(known) == 6
    assert {f"q{i}\tc{i}" for i in (0, 2, 3, 5)} <= set(mined)


def test_retrieval_finds_what_gold_names_in_both_directions():
    vectors = np.eye(4, dtype=np.float32)
    # q0 means c2 or c3, q1 means c2 too, q2 means c0; c1 answers nothing
    golds = [["c2", "c3"], ["c2"], ["c0"]]
    queries = vectors[[3, 2, 1]]  # the nearest candidates are c3, c2, c1
    names, found, right = predict._bitext(Stub(queries, vectors, golds, None), "de")
    assert dict(zip(names, zip(found, right, strict=True), strict=True)) == {
        "q0 xx-en": ("c3", "c3"),
        "q1 xx-en": ("c2", "c2"),
        "q2 xx-en": ("c1", "c0"),
        "c0 en-xx": ("q0", "q2"),
        "c2 en-xx": ("q1", "q1"),
        "c3 en-xx": ("q0", "q0"),
    }
