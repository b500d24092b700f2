"""Metrics: loadable by anyone offline, refusing what cannot be scored; and the package's public face."""

from __future__ import annotations

import subprocess
import sys

import evaluate
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import xgrl
from xgrl.metrics import METRICS, score
from xgrl.tasks import TASKS


@pytest.fixture(params=METRICS)
def metric(request, root, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a metric must load without a network"))
    return evaluate.load(str(root / "lib" / "xgrl" / "metrics" / f"{request.param}.py"))


def test_every_metric_loads_offline_and_equals_scikit_learn(metric):
    rng = np.random.default_rng(0)
    found, true = rng.integers(0, 4, (2, 997))
    assert metric.compute(predictions=found, references=true)["accuracy"] == pytest.approx(100 * accuracy_score(true, found))
    names = np.array(["entailment", "neutral", "ja", "語"])
    result = metric.compute(predictions=names[found].tolist(), references=names[true].tolist())
    assert result["accuracy"] == pytest.approx(100 * accuracy_score(true, found))


BAD = [
    ([1], [1, 2], "as many predictions as references, found 1 and 2"),
    ([], [], "no predictions"),
    ([1, float("nan")], [1, 1], "prediction 1 is nan"),
    ([1, 1], [1, None], "reference 1 is None"),
    ([1.5, 2], [1, 2], "prediction 0 is 1.5"),
    (["1"], [1], "all integers or all strings"),
]


@pytest.mark.parametrize(("predictions", "references", "message"), BAD)
def test_what_cannot_be_scored_is_refused(metric, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(predictions=predictions, references=references)
    with pytest.raises(ValueError, match=message):
        score("sentiment", predictions, references)


def test_every_task_is_scored_by_a_metric_that_exists():
    for name, task in TASKS.items():
        if task.format in ("classification", "retrieval"):
            assert task.metric in METRICS, name
            assert score(name, ["a", "b", "c", "a"], ["a", "b", "a", "a"], language="de") == {"accuracy": 75.0}


def test_scores_do_not_remember_earlier_calls():
    assert score("sentiment", [0], [1]) == {"accuracy": 0.0}
    assert score("sentiment", np.array([1, 1]), np.array([1, 1])) == {"accuracy": 100.0}


def test_unknown_task_is_refused():
    with pytest.raises(ValueError, match="sentiment"):
        score("sentimant", [0], [1])


def test_the_public_face_is_lazy_and_complete():
    code = "import sys, time; t = time.perf_counter(); import xgrl; t = time.perf_counter() - t; print(t, *sys.modules)"
    seconds, *loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "numpy"} & set(loaded)
    assert float(seconds) < 0.5
    assert {name: callable(getattr(xgrl, name)) for name in xgrl.__all__ if name != "stats"} and callable(xgrl.stats.compare)
    assert set(xgrl.__all__) <= set(dir(xgrl))
    with pytest.raises(AttributeError, match="xgrl has no 'emed'; it offers embed"):
        _ = xgrl.emed
