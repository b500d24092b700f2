"""Averages of the benchmark."""

from __future__ import annotations

import re

import numpy as np
import pytest

from xgrl.evaluation.metrics.aggregate import aggregate


def test_averages_are_over_languages_then_tasks():
    scores = {
        task: {"en": 90.0, "de": 50.0, "sw": 10.0}
        for task in ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa")
    }
    scores |= {"bucc2018": {"de": 20.0}, "tatoeba": {"de": 40.0, "sw": 0.0}}
    result = aggregate(scores)
    assert result.tasks["xnli"] == 50 and result.tasks["tatoeba"] == 20
    assert result.groups == {
        "classification": 50,
        "structured prediction": 50,
        "question answering": 50,
        "retrieval": 20,
    }
    assert result.average == pytest.approx(
        (7 * 50 + 2 * 20) / 9
    ) and result.over_groups == pytest.approx((3 * 50 + 20) / 4)
    result = aggregate(scores, languages="zero-shot")
    assert result.tasks["xnli"] == 30 and result.groups["retrieval"] == 20
    del scores["mlqa"], scores["bucc2018"]
    result = aggregate(scores)
    assert set(result.groups) == {"classification", "structured prediction"}
    assert result.average is None and result.over_groups is None
    scores |= {task: {"en": 1.0, "de": 2.0} for task in ("mlqa", "xcopa", "mewslix", "lareqa")}
    del scores["pawsx"]
    result = aggregate(scores, benchmark="xtreme-r")
    assert len(result.tasks) == 10 and result.groups["retrieval"] == pytest.approx(
        (20 + 1.5 + 1.5) / 3
    )
    assert result.average == pytest.approx(np.mean(list(result.tasks.values())))


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ({"xcopa": {"en": 1.0}}, {}, "task 'xcopa' is not in xtreme; its tasks: xnli, pawsx"),
        ({"xnli": {"en": 1.0}}, {"languages": "zero-shot"}, "task 'xnli' has no scores"),
        ({"xnli": {}}, {}, "task 'xnli' has no scores"),
        ({"xnli": {"de": float("nan")}}, {}, "xnli, de: found nan"),
        ({"xnli": {"de": 101.0}}, {}, "xnli, de: found 101.0"),
        ({}, {"languages": "english"}, "languages='english': allowed: all, zero-shot"),
        ({}, {"benchmark": "glue"}, "benchmark='glue': allowed: xtreme, xtreme-r"),
    ],
)
def test_averages_refuse(scores, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        aggregate(scores, **options)
