"""`xgrl.tasks.formats`: good rows become a dataset, bad ones are counted by reason."""

import pytest
from datasets import Dataset

from example_rows import EXAMPLES as GOOD
from xgrl.tasks.formats import FORMATS, features, validate

BAD = [
    ("classification", {"text": " \n"}, "empty text"),
    ("classification", {"text": None}, "missing text"),
    ("classification", {"text_pair": None}, "missing text_pair"),
    ("classification", {"label": 2}, "label out of range"),
    ("classification", {"label": -1}, "label out of range"),
    ("classification", {"label": 0.5}, "label out of range"),
    ("multiple_choice", {"choices": ["b"]}, "too few choices"),
    ("multiple_choice", {"choices": ["b", " "]}, "empty choices"),
    ("multiple_choice", {"choices": ["b", None]}, "missing choices"),
    ("multiple_choice", {"label": 0.5}, "label out of range"),
    ("multiple_choice", {"label": 2}, "label out of range"),
    ("span_qa", {"answers": {"text": ["c"], "answer_start": [1]}}, "answer not at its offset"),
    ("span_qa", {"answers": {"text": ["c"], "answer_start": [-1]}}, "answer not at its offset"),
    ("tagging", {"tags": [0]}, "tokens and tags differ in number"),
    ("tagging", {"tokens": [], "tags": []}, "empty tokens"),
    ("tagging", {"tokens": ["a", None]}, "missing tokens"),
    ("tagging", {"tags": [0, 5]}, "label out of range"),
    ("retrieval", {"text": ""}, "empty text"),
]
LABELLED = ("classification", "tagging")


@pytest.mark.parametrize("format", FORMATS)
def test_a_good_row_becomes_a_dataset_of_its_format(format):
    labels = ["x", "y"] if format in LABELLED else []
    checked = validate([GOOD[format] | {"extra": 1}], format, labels)
    rows = Dataset.from_list(checked.table.to_pylist(), features=features(format, labels))
    assert rows.column_names == list(GOOD[format])
    assert rows[0] == GOOD[format]
    assert not checked.dropped


@pytest.mark.parametrize(("format", "change", "reason"), BAD)
def test_a_bad_row_is_counted_under_its_reason(format, change, reason):
    other = GOOD[format] | {"id": "2"}
    checked = validate(
        [GOOD[format] | change, other], format, ["x", "y"] if format in LABELLED else []
    )
    assert checked.table.to_pylist() == [other] and checked.dropped == {reason: 1}


@pytest.mark.parametrize("label", ["She left early", "x" * 21, "犬が鳴く", "", " ", "a\nb"])
def test_a_sentence_in_the_place_of_a_label_is_counted_without_its_words(label):
    words = {"tokens": ["a"], "tags": [label]}
    rows = [GOOD["classification"] | {"label": label}, GOOD["tagging"] | words]
    for format, row in zip(LABELLED, rows, strict=True):
        assert validate([row], format, ["x", "y"]).dropped == {"unknown label": 1}
    assert validate(rows[:1], "classification", ["x", label]).dropped == {}


def test_an_id_counts_once_and_a_question_may_have_no_answer():
    unanswerable = GOOD["span_qa"] | {"answers": {"text": [], "answer_start": []}}
    checked = validate([unanswerable, unanswerable], "span_qa")
    assert checked.table.to_pylist() == [unanswerable] and checked.dropped == {"duplicate id": 1}


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"format='taging'.*did you mean 'tagging'"):
        features("taging")


@pytest.mark.parametrize("texts", [("a", ""), ("", "b"), ("a", " \n"), (" \n", "b")])
def test_a_pair_without_one_of_its_texts_is_dropped_and_counted(texts):
    text, pair = texts
    half = GOOD["classification"] | {"text": text, "text_pair": pair}
    whole = GOOD["classification"] | {"id": "2", "text_pair": "b"}
    empty = "text_pair" if text.strip() else "text"
    checked = validate([half, whole], "classification", ["x", "y"])
    assert checked.table.to_pylist() == [whole] and checked.dropped == {f"empty {empty}": 1}
    checked = validate([half], "classification", ["x", "y"], pairs=True)
    assert not len(checked.table) and checked.dropped == {f"empty {empty}": 1}


@pytest.mark.parametrize("blank", ["", " ", "\u3000\n"])
def test_a_task_of_single_texts_has_no_second_ones(blank):
    row = GOOD["classification"] | {"text_pair": blank}
    checked = validate([row], "classification", ["x", "y"])
    assert checked.table.to_pylist() == [GOOD["classification"]] and not checked.dropped
