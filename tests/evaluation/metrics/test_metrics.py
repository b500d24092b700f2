"""Metrics: equal to naive re-implementations and to the benchmark's mock scores, and refusing what
cannot be scored.
"""

import json
import re
import string
import subprocess
import sys
import unicodedata
from fractions import Fraction

import evaluate
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

import xgrl
from mock_scores import MOCK, TAGGING, read_mock
from xgrl.evaluation import scoring
from xgrl.evaluation.metrics.official import f1_of
from xgrl.evaluation.scoring import METRICS, contributions, headline, score
from xgrl.stats import jackknife
from xgrl.tasks import TASKS

UPOS = [
    "ADJ",
    "ADP",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "PRON",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
]
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORDS = [
    "the",
    "a",
    "Der",
    "das",
    "el",
    "của",
    "الكتاب",
    "語",
    "x-y",
    "308",
    "?!",
    "Katze",
    "は",
    "。",
]
ANSWERS = ["308", "Katze", "語", "कुत्ता"]
COUNTED = ("span_f1", "tag_f1", "mined_f1")
LANGUAGE = {"mlqa": "de"}


def examples(metric: str, rng: np.random.Generator, n: int = 40) -> tuple[list, list]:
    """Random predictions and references of a metric's kind; about half of a prediction is right."""
    if metric in ("accuracy", "retrieval_accuracy"):
        true = rng.integers(0, 4, n)
        return np.where(rng.random(n) < 0.5, true, rng.integers(0, 4, n)).tolist(), true.tolist()
    if metric in TAGGING:
        tags = np.array(BIO if metric == "span_f1" else UPOS)
        true = [rng.choice(tags, rng.integers(1, 12)) for _ in range(n)]
        found = [
            np.where(rng.random(len(row)) < 0.5, row, rng.choice(tags, len(row))) for row in true
        ]
        return [row.tolist() for row in found], [row.tolist() for row in true]
    if metric in ("squad", "mlqa"):
        texts = [
            " ".join([*rng.choice(WORDS, rng.integers(0, 5)), rng.choice(ANSWERS)])
            for _ in range(3 * n)
        ]
        golds = [texts[i : i + 1 + i % 2] for i in range(0, 2 * n, 2)]
        return [
            rng.choice(row) if rng.random() < 0.3 else texts[-i - 1] for i, row in enumerate(golds)
        ], golds
    ids = [f"Q{i}" for i in range(40)]
    if metric in ("mrr", "map"):
        true = [rng.choice(ids, rng.integers(1, 26), replace=False).tolist() for _ in range(n)]
        return [rng.permutation(ids)[: rng.integers(0, 41)].tolist() for _ in true], true
    true = [f"s{i}\tt{i}" for i in range(n)]
    return [*true[: n // 2], *(f"s{i}\tt{i + 1}" for i in range(n // 3, n))], true


@pytest.fixture(params=METRICS)
def name(request) -> str:
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def load(root, name: str) -> evaluate.Metric:
    """As anyone does it: by a file's path and the metric's name."""
    file = METRICS[name].__module__.rpartition(".")[2]
    return evaluate.load(str(root / "lib" / "xgrl" / "evaluation" / "metrics" / f"{file}.py"), name)


def compute(name, predictions, references, language=None):
    """`score`, by the metric's name."""
    metric, options = scoring._metric(name, language)
    return metric.compute(predictions=list(predictions), references=list(references), **options)


# Properties of every metric


def test_every_metric_loads_offline_and_equals_ours(name, root, monkeypatch, rng):
    monkeypatch.setattr(
        "socket.socket.connect", lambda *_: pytest.fail("a metric must load without a network")
    )
    metric = load(root, name)
    found, true = examples(name, rng)
    options = {"language": LANGUAGE[name]} if name in LANGUAGE else {}
    result = metric.compute(predictions=found, references=true, **options)
    assert result == compute(name, found, true, LANGUAGE.get(name))
    assert 0 < headline(result) < 100
    if name != "mined_f1":
        for one, other in zip(found, true, strict=True):
            metric.add(prediction=one, reference=other)
        assert metric.compute(**options) == result


def test_nothing_is_written_where_the_home_is_read_only(name, monkeypatch, tmp_path):
    (tmp_path / "home").write_text("no folder can be made in a file")
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "home/metrics")
    scoring._metric.cache_clear()
    scorer, _ = scoring._metric(name, "de" if name == "mlqa" else None)
    assert scorer.data_dir == ""
    with pytest.raises(NotADirectoryError):
        scoring.METRICS[name](config_name=name)


def test_right_is_100_and_nothing_right_is_0(name, rng):
    _, true = examples(name, rng)
    right = [answers[-1] for answers in true] if name in ("squad", "mlqa") else true
    assert set(compute(name, right, true, LANGUAGE.get(name)).values()) == {100.0}
    wrong = {
        "span_f1": lambda tags: ["B-ORG"] * len(tags),
        "tag_f1": lambda tags: ["_"] * len(tags),
        "squad": lambda _: "nein",
        "mlqa": lambda _: "nein",
        "mrr": lambda _: ["none"],
        "map": lambda _: ["none"],
        "mined_f1": lambda _: "s0\tt9",
    }.get(name, lambda _: 9)
    assert set(compute(name, [*map(wrong, true)], true, LANGUAGE.get(name)).values()) == {0.0}


def test_contributions_give_the_headline_and_do_not_depend_on_the_order(name, rng):
    found, true = examples(name, rng)
    language = LANGUAGE.get(name)
    expected = headline(compute(name, found, true, language))
    rows = contributions(name, found, true, language)
    if name in COUNTED:
        assert rows.dtype == np.int64
        assert rows.shape == (len(true), 3)
        assert (rows[:, 0] <= rows[:, 1:].min(1)).all()
        assert f1_of(rows.sum(0)) == pytest.approx(expected, abs=1e-11)
        several = rng.integers(0, 9, (5, 2, 3))
        values = [[f1_of(one) for one in row] for row in several]
        assert np.array_equal(f1_of(several), values) and f1_of([0, 0, 0]) == 0
        pseudo = jackknife(f1_of, rows)
        assert pseudo.shape == (len(rows),) and abs(pseudo.mean() - expected) < 2
    else:
        assert rows.dtype == np.float64 and rows.shape == (len(true), 1)
        assert rows.mean() == pytest.approx(expected, abs=1e-11)
    order = rng.permutation(len(true))
    if name != "mined_f1":
        turned = contributions(name, [found[i] for i in order], [true[i] for i in order], language)
        assert np.array_equal(turned, rows[order])


def test_scores_do_not_remember_earlier_calls(name, rng):
    found, true = examples(name, rng)
    language = LANGUAGE.get(name)
    first = compute(name, found, true, language)
    compute(name, *examples(name, rng, 7), language)
    with pytest.raises(ValueError):
        compute(name, found, [None] * len(true), language)
    assert compute(name, found, true, language) == first


def test_main_score_comes_first(name, rng):
    result = compute(name, *examples(name, rng), LANGUAGE.get(name))
    keys = {
        "squad": ["exact_match", "f1"],
        "mlqa": ["exact_match", "f1"],
        "mrr": ["mrr@20"],
        "map": ["map@20"],
    }
    default = ["f1", "precision", "recall"] if name in COUNTED else ["accuracy"]
    assert list(result) == keys.get(name, default)
    assert headline(result) == (
        sum(result.values()) / 2 if name in ("squad", "mlqa") else next(iter(result.values()))
    )


def test_a_file_of_several_metrics_is_asked_for_one_by_name(root):
    files = {METRICS[name].__module__.rpartition(".")[2] for name in METRICS}
    assert files == {"accuracy", "answers", "chunk_f1", "mined_f1", "ranking"}
    path = str(root / "lib" / "xgrl" / "evaluation" / "metrics" / "ranking.py")
    for wrong in (None, "span_f1"):
        with pytest.raises(ValueError, match=r"allowed: mrr, map; evaluate.load\(path, 'mrr'\)"):
            evaluate.load(path, wrong)
    accuracy = evaluate.load(path.replace("ranking", "accuracy"))
    assert accuracy.compute(predictions=[1, 0], references=[1, 1]) == {"accuracy": 50.0}


# What is refused

NUMBERS = [([], [], "no predictions"), (None, None, "found None and None")]
LABELS = [
    ([1], [1, 2], "as many predictions as references, found 1 and 2"),
    ([1, float("nan")], [1, 1], "prediction 1 is nan"),
    ([1, 1], [1, None], "reference 1 is None"),
    ([1.5, 2], [1, 2], "prediction 0 is 1.5"),
    (["1"], [1], "all integers or all strings"),
    *NUMBERS,
]
LISTS = [
    ([["O"]], [["O"]] * 2, "as many predictions as references, found 1 and 2"),
    (["O"], [["O"]], "prediction 0 is 'O': expected a list of"),
    ([["O"]], [[None]], "reference 0 holds None"),
    ([[3]], [["O"]], "prediction 0 holds 3"),
    *NUMBERS,
]
TAGS = [
    ([["O"]], [["O", "O"]], "sentence 0: found 1 predicted tags for 2 words"),
    ([[]], [[]], "sentence 0 has no tags"),
]
TEXTS = [
    (["a"], [["a"], ["b"]], "found 1 and 2"),
    ([None], [["a"]], "prediction 0 is None: expected the answer's text"),
    (["a"], ["a"], "reference 0 is 'a': expected a list of gold answers"),
    (["a"], [{"text": ["a"], "answer_start": [0]}], "expected a list of gold answers"),
    (["a"], [[1]], "reference 0 is"),
    *NUMBERS,
]
RANKS = [([["a"]], [[]], "reference 0 has no relevant ids")]
BAD = {
    "accuracy": LABELS,
    "retrieval_accuracy": LABELS,
    "span_f1": [
        *LISTS,
        *TAGS,
        *(
            ([[tag]], [["O"]], f"prediction 0, word 0 has the tag {tag!r}")
            for tag in ("NOUN", "B-", "E-PER", "", "o", "I-x y")
        ),
        ([["O", "O"]], [["O", "B"]], "reference 0, word 1 has the tag 'B'"),
    ],
    "tag_f1": [
        *LISTS,
        *TAGS,
        *(
            ([[tag]], [["X"]], f"prediction 0, word 0 has the tag '{tag}'")
            for tag in ("O", "B-NOUN", "", ".", "a b")
        ),
    ],
    "squad": TEXTS,
    "mlqa": [*TEXTS, (["a"], [[]], "reference 0 has no gold answers")],
    "mrr": [*LISTS, *RANKS],
    "map": [*LISTS, *RANKS],
    "mined_f1": [
        (["a\tb"], [], "one gold pair at least, found 1 and 0"),
        (None, ["a\tb"], "found None and 1"),
        (["a b"], ["a\tb"], "prediction 0 is 'a b': expected a source id, a tab"),
        (["a\tb\tc"], ["a\tb"], "prediction 0 is"),
        (["\tb"], ["a\tb"], "prediction 0 is"),
        (["a\tb"], ["a\tb", 3], "reference 1 is 3"),
    ],
}


@pytest.mark.parametrize(
    ("name", "predictions", "references", "message"),
    [(k, *row) for k, rows in BAD.items() for row in rows],
)
def test_what_cannot_be_scored_is_refused(root, name, predictions, references, message):
    options = {"language": LANGUAGE[name]} if name in LANGUAGE else {}
    scorer = load(root, name)
    with pytest.raises(ValueError, match=re.escape(message)):
        if predictions is None and references is None:
            scorer.add_batch(predictions=predictions, references=references)
        scorer.compute(predictions=predictions, references=references, **options)
    if predictions is not None and references is not None:
        for function in (compute, contributions):
            with pytest.raises(ValueError, match=re.escape(message)):
                function(name, predictions, references, LANGUAGE.get(name))


@pytest.mark.parametrize("language", [None, "fr", "DE"])
def test_mlqa_needs_a_language_it_knows(language):
    for function in (compute, contributions):
        with pytest.raises(
            ValueError, match=f"language={language!r}: .*ar, de, en, es, hi, vi, zh"
        ):
            function("mlqa", ["a"], [["a"]], language)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="sentiment"):
        score("sentimant", [0], [1])
    with pytest.raises(ValueError, match=r"metric='bleu': allowed: accuracy, .*mined_f1"):
        compute("bleu", [0], [1])
    with pytest.raises(ValueError, match="no scores"):
        headline({})
    with pytest.raises(ValueError, match=r"shape \(2, 1\): expected \(\.\.\., 3\)"):
        f1_of(np.ones((2, 1)))


# Naive re-implementations, as direct as the definitions


def naive_spans(tags: list[str]) -> list[tuple]:
    """Every (type, first, last) that is a span: a beginning, insides of its type, and no further
    inside of it.
    """

    def inside(i: int, kind: str) -> bool:
        return i < len(tags) and tags[i] == f"I-{kind}"

    def begins(i: int) -> bool:
        kind = tags[i][2:]
        return tags[i][0] == "B" or (tags[i][0] == "I" and (i == 0 or tags[i - 1][2:] != kind))

    found = []
    for first in (i for i in range(len(tags)) if begins(i)):
        kind = tags[first][2:]
        last = next(i for i in range(first, len(tags)) if not inside(i + 1, kind))
        found.append((kind, first, last))
    return found


def naive_runs(tags: list[str]) -> list[tuple]:
    """Runs of one tag by a regular expression over the joined tags; SCONJ and SYM never join."""
    text = " ".join(tags) + " "
    found = re.finditer(r"(SCONJ|SYM) |(?<!\S)(\S+) (?:\2 )*", text)
    return [
        (m[0].split()[0], text[: m.start()].count(" "), text[: m.end()].count(" ")) for m in found
    ]


def naive_f1(chunks, found: list[list[str]], true: list[list[str]]) -> dict[str, float]:
    found, true = (
        {(i, *c) for i, tags in enumerate(side) for c in chunks(tags)} for side in (found, true)
    )
    return naive_set_f1(found, true)


def naive_set_f1(found: set, true: set) -> dict[str, float]:
    both = len(found & true)
    precision, recall = Fraction(both, len(found) or 1), Fraction(both, len(true) or 1)
    f1 = 2 * precision * recall / (precision + recall) if both else 0
    return {
        "f1": float(100 * f1),
        "precision": float(100 * precision),
        "recall": float(100 * recall),
    }


def naive_words(text: str, language: str | None) -> list[str]:
    """Character by character; `language` None is SQuAD's English normalisation."""

    def punctuation(c: str) -> bool:
        return c in string.punctuation or (
            language is not None and unicodedata.category(c).startswith("P")
        )

    text = "".join(c for c in text.lower() if not punctuation(c))
    if language == "ar":
        return " ".join(text.split("ال")).split()
    if language == "zh":
        text = "".join(f" {c} " if "\u4e00" <= c <= "\u9fa5" else c for c in text)
    articles = {
        "en": "a an the",
        "es": "un una unos unas el la los las",
        "vi": "của là cái chiếc những",
        "de": "ein eine einen einem eines einer der die das den dem des",
    }.get(language or "en", "")
    return [word for word in text.split() if word not in articles.split()]


def naive_answers(
    found: list[str], golds: list[list[str]], language: str | None = None
) -> dict[str, float]:
    exact = f1 = Fraction(0)
    for text, answers in zip(found, golds, strict=True):
        words = naive_words(text, language)
        best = Fraction(0)
        for answer in answers:
            gold = naive_words(answer, language)
            common = sum(min(words.count(word), gold.count(word)) for word in set(words))
            if common:
                precision, recall = Fraction(common, len(words)), Fraction(common, len(gold))
                best = max(best, 2 * precision * recall / (precision + recall))
        exact += any(words == naive_words(answer, language) for answer in answers)
        f1 += best
    return {"exact_match": float(100 * exact / len(found)), "f1": float(100 * f1 / len(found))}


def naive_mrr(found: list[list[str]], true: list[list[str]]) -> dict[str, float]:
    ranks = [
        [ids[:20].index(i) + 1 for i in gold if i in ids[:20]]
        for ids, gold in zip(found, true, strict=True)
    ]
    return {"mrr@20": float(100 * sum(Fraction(1, min(r)) if r else 0 for r in ranks) / len(ranks))}


NAIVE = {
    "accuracy": lambda found, true: {"accuracy": 100 * accuracy_score(true, found)},
    "retrieval_accuracy": lambda found, true: {"accuracy": 100 * accuracy_score(true, found)},
    "span_f1": lambda found, true: naive_f1(naive_spans, found, true),
    "tag_f1": lambda found, true: naive_f1(naive_runs, found, true),
    "squad": naive_answers,
    "mrr": naive_mrr,
    "mined_f1": lambda found, true: naive_set_f1(set(found), set(true)),
}


@pytest.mark.parametrize("name", NAIVE)
def test_equals_the_naive_computation(name):
    for seed in range(20):
        found, true = examples(name, np.random.default_rng(seed), n=1 + seed)
        assert compute(name, found, true) == pytest.approx(NAIVE[name](found, true), abs=1e-9)


@pytest.mark.parametrize("language", ["ar", "de", "en", "es", "hi", "vi", "zh"])
def test_mlqa_equals_the_naive_computation(language):
    for seed in range(20):
        found, true = examples("mlqa", np.random.default_rng(seed))
        assert compute("mlqa", found, true, language) == pytest.approx(
            naive_answers(found, true, language), abs=1e-9
        )


def test_map_of_whole_rankings_is_the_average_precision_of_scikit_learn(rng):
    """Of at most 20 candidates, all ranked, depth 20 is no limit."""
    ids = np.array([f"c{i}" for i in range(20)])
    ranked = [rng.permutation(ids).tolist() for _ in range(30)]
    relevant = [rng.choice(ids, rng.integers(1, 20), replace=False).tolist() for _ in ranked]
    each = [
        average_precision_score(np.isin(order, gold), -np.arange(20.0))
        for order, gold in zip(ranked, relevant, strict=True)
    ]
    assert np.allclose(contributions("map", ranked, relevant)[:, 0], 100 * np.array(each))


def test_names_and_indices_of_classes_score_alike(rng):
    found, true = rng.integers(0, 4, (2, 997))
    names = np.array(["entailment", "neutral", "ja", "語"])
    expected = 100 * accuracy_score(true, found)
    assert compute("accuracy", found, true)["accuracy"] == pytest.approx(expected)
    assert compute("accuracy", names[found].tolist(), names[true].tolist())[
        "accuracy"
    ] == pytest.approx(expected)


def test_tags_of_single_words_score_as_scikit_learn_has_it(rng):
    """Sentences of one word have one chunk each, so F1 is the micro average over classes, which is
    the accuracy.
    """
    found, true = rng.choice(UPOS, (2, 500))
    ours = compute("tag_f1", found[:, None].tolist(), true[:, None].tolist())["f1"]
    assert ours == pytest.approx(100 * f1_score(true, found, average="micro"))


# Cases worked by hand


@pytest.mark.parametrize(
    ("metric", "found", "true", "counts"),
    [
        # "I-" begins a span where none is
        ("span_f1", "I-PER I-PER O B-LOC", "B-PER I-PER O I-LOC", (2, 2, 2)),
        ("span_f1", "B-PER B-PER", "B-PER I-PER", (0, 2, 1)),
        ("span_f1", "B-PER I-LOC", "B-PER O", (1, 2, 1)),  # another type ends a span
        ("span_f1", "B-light-on", "B-fan-on", (0, 1, 1)),  # a type is all after the first hyphen
        ("tag_f1", "NOUN NOUN VERB", "NOUN NOUN VERB", (2, 2, 2)),  # equal neighbours are one
        ("tag_f1", "NOUN NOUN NOUN", "NOUN NOUN VERB", (0, 1, 2)),
        ("tag_f1", "SCONJ SCONJ SYM SYM", "SCONJ SCONJ SYM SYM", (4, 4, 4)),  # read as single
        ("tag_f1", "CCONJ", "SCONJ", (0, 1, 1)),
        ("tag_f1", "INTJ INTJ", "INTJ INTJ", (1, 1, 1)),
    ],
)
def test_chunks(metric, found, true, counts):
    assert contributions(metric, [found.split()], [true.split()]).tolist() == [list(counts)]
    twice = contributions(metric, [found.split()] * 2, [true.split()] * 2)
    assert twice.tolist() == [list(counts)] * 2, "chunks do not cross sentence borders"


@pytest.mark.parametrize(
    ("found", "golds", "exact", "f1"),
    [
        ("The 308 points!", ["308 points"], 100, 100),
        ("Katze", ["die Katze"], 0, 200 / 3),  # English articles only
        ("308分", ["308"], 0, 0),  # no blanks, no parts
        ("«308»", ["308"], 0, 0),  # ASCII punctuation only
        ("x y", ["z", "y"], 0, 200 / 3),  # the best gold answer
        ("", [], 100, 100),
        ("", [""], 100, 100),
        ("the", [], 100, 100),  # no words left
        ("x", [], 0, 0),
        ("", ["x"], 0, 0),
        ("a", ["the"], 100, 0),  # SQuAD v1.1: nothing is in common where no word is left
    ],
)
def test_squad_answers(found, golds, exact, f1):
    assert compute("squad", [found], [golds]) == pytest.approx({"exact_match": exact, "f1": f1})


@pytest.mark.parametrize(
    ("language", "found", "gold", "exact", "f1"),
    [
        ("de", "Der «Kater»", "kater", 100, 100),
        ("en", "Der Kater", "kater", 0, 200 / 3),
        ("zh", "电化电池", "电池", 0, 200 / 3),
        ("zh", "ABC电池", "abc 电 池", 100, 100),
        ("ar", "الكتاب", "كتاب", 100, 100),
        ("hi", "a b", "b", 0, 200 / 3),
    ],
)
def test_mlqa_answers(language, found, gold, exact, f1):
    assert compute("mlqa", [found], [[gold]], language) == pytest.approx(
        {"exact_match": exact, "f1": f1}
    )


@pytest.mark.parametrize(
    ("ranked", "relevant", "mrr", "average"),
    [
        ("a b c", "b", 50, 50),
        ("a b c", "b c", 50, 100 * (1 / 2 + 2 / 3) / 2),
        ("b b c", "b c", 100, 100 * (1 + 2 / 3) / 2),  # named twice, found once
        ("", "b", 0, 0),
        (" ".join(f"x{i}" for i in range(20)) + " b", "b", 0, 0),  # 21st
        (" ".join(f"b{i}" for i in range(20)), " ".join(f"b{i}" for i in range(30)), 100, 100),
    ],
)
def test_ranks(ranked, relevant, mrr, average):
    assert compute("mrr", [ranked.split()], [relevant.split()])["mrr@20"] == pytest.approx(mrr)
    assert compute("map", [ranked.split()], [relevant.split()])["map@20"] == pytest.approx(average)


def test_mined_pairs_are_sets_and_rows_are_source_sentences():
    gold = ["a\t1", "b\t2", "c\t", "d\t"]
    assert compute("mined_f1", [], gold) == {"f1": 0, "precision": 0, "recall": 0}
    found = ["d\t9", "a\t1", "a\t1", "e\t2"]
    assert compute("mined_f1", found, gold) == pytest.approx(
        {"f1": 40, "precision": 100 / 3, "recall": 50}
    )
    rows = contributions("mined_f1", found, gold)
    assert rows.tolist() == [[1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert contributions("mined_f1", ["a\t", "b\t", "c\t", "d\t"], gold).tolist() == [
        [0, 0, 1],
        [0, 0, 1],
        [0] * 3,
        [0] * 3,
    ]


# The benchmark's own mock labels and predictions


def mock(shared, task: str):
    """language -> (predictions, references)."""
    folder = shared / "oracles" / "xtreme_mock"
    if not folder.exists():
        pytest.skip("the benchmark's mock predictions are not here")
    found = {}
    for file in sorted((folder / "labels" / task).iterdir()):
        true = read_mock(file, MOCK[task])
        predicted = read_mock(folder / "predictions" / task / file.name, MOCK[task])
        if isinstance(true, dict):
            predicted, true = [predicted[key] for key in true], list(true.values())
        found[file.stem.removeprefix("test-")] = predicted, true
    return found


@pytest.mark.oracle
@pytest.mark.parametrize("task", MOCK)
def test_mock_scores_of_the_benchmark(shared, task):
    metric, languages = MOCK[task], mock(shared, task)
    scores = [compute(metric, *pair, language) for language, pair in languages.items()]
    expected = json.loads((shared / "oracles" / "xtreme_mock" / "expected.json").read_text())[task]
    expected = {{"map@20": "mrr@20"}.get(key, key): value for key, value in expected.items()}
    assert len(scores) == {"udpos": 33, "panx": 40, "tatoeba": 36}.get(task, len(scores)) > 3
    average = {key: float(np.mean([one[key] for one in scores])) for key in scores[0]}
    assert average == pytest.approx(expected, abs=1e-9, rel=0)


@pytest.mark.oracle
@pytest.mark.parametrize("task", MOCK)
def test_mock_scores_of_each_language_equal_the_naive_computation(shared, task):
    metric = MOCK[task]
    for language, (found, true) in mock(shared, task).items():
        naive = (
            naive_answers(found, true, language) if metric == "mlqa" else NAIVE[metric](found, true)
        )
        result = compute(metric, found, true, language)
        assert result == pytest.approx(naive, abs=1e-9, rel=0), language
        rows = contributions(metric, found, true, language)
        ours = f1_of(rows.sum(0)) if metric in COUNTED else rows.mean()
        assert ours == pytest.approx(headline(naive), abs=1e-9, rel=0), language


# Tasks and the public face


def test_every_task_is_scored_by_a_metric_that_exists(rng):
    for name, task in TASKS.items():
        assert task.metric in METRICS, name
        found, true = examples(task.metric, rng)
        assert score(name, found, true, language="de") == compute(task.metric, found, true, "de")
    assert score("sentiment", np.array([1, 1]), np.array([1, 1]), language="de") == {
        "accuracy": 100.0
    }


def test_the_public_face_is_lazy_and_complete():
    code = (
        "import sys, time; t = time.perf_counter(); import xgrl; t = time.perf_counter() - t; "
        "print(t, *sys.modules)"
    )
    seconds, *loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "datasets", "numpy"} & set(loaded)
    assert float(seconds) < 0.5
    assert set(xgrl.__all__) == {"embed", "load_encoder", "load_task", "nearest", "score", "stats"}
    assert all(callable(getattr(xgrl, name)) for name in xgrl.__all__ if name != "stats")
    assert callable(xgrl.stats.compare)
    assert set(xgrl.__all__) <= set(dir(xgrl))
    with pytest.raises(AttributeError, match="xgrl has no 'emed'; it offers embed"):
        _ = xgrl.emed
