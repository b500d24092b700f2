"""Which tasks descend from which: what is no training, and what is marked beside a score."""

import pytest

from xgrl.tasks import TABLES, data_card, find_task, training_notes
from xgrl.tasks.descent import CHOSEN, TESTED, TRAINED, same_data, shares_model, unfit


def test_every_task_that_is_named_is_in_the_tables():
    for name in (*TRAINED, *CHOSEN, *(f"target/{name}" for name in TESTED)):
        role, _, task = name.partition("/")
        assert task in TABLES[role], name


@pytest.mark.parametrize(
    ("intermediate", "target", "source", "shared"),
    [
        ("mnli", "xnli", "", ["MultiNLI"]),
        ("anli", "xnli", "", ["MultiNLI"]),
        ("siqa", "xcopa", "", ["SIQA"]),
        ("squad", "xquad", "", ["SQuAD", "SQuAD's development set"]),
        ("squad", "xquad", "tydiqa", ["SQuAD's development set"]),
        ("squad", "mlqa", "tydiqa", []),
        ("squad2", "lareqa", "tydiqa", ["SQuAD's development set"]),
        ("squad", "tydiqa", "", []),
        ("qa", "qa", "", []),  # intermediate: new questions on other articles
        ("sentiment", "bitext", "", ["MultiEmo"]),
        ("sarcasm", "intent", "", []),
    ],
)
def test_what_an_intermediate_task_and_a_target_have_both(intermediate, target, source, shared):
    assert same_data([intermediate], target, source) == shared


@pytest.mark.parametrize(
    ("target", "source", "reason"),
    [
        ("xquad", "tydiqa", ""),
        ("mlqa", "tydiqa", ""),
        ("lareqa", "tydiqa", ""),
        ("mlqa", "qa", ""),
        ("mlqa", "xquad", ""),
        ("xquad", "qa", "'qa' is trained on SQuAD's development set, from which the test set of"),
        ("lareqa", "qa", "the test set of 'lareqa' was translated"),
        ("mewslix", "tydiqa", "'mewslix' is retrieval, 'tydiqa' span qa"),
        ("xquad", "panx", "'xquad' is span qa, 'panx' tagging"),
        ("xnli", "pawsx", "differ in their classes"),
        ("panx", "udpos", "differ in their classes"),
        ("bitext", "lareqa", "or train nothing"),
        ("lareqa", "tatoeba", "or train nothing"),
    ],
)
def test_a_target_is_tested_with_a_model_of_its_format_that_has_not_seen_it(target, source, reason):
    found = unfit(find_task(target, "target"), find_task(source, "target"))
    assert reason in found and bool(found) == bool(reason)


def test_pairs_are_made_for_lareqa_only_the_others_are_tested_with_the_model():
    tydiqa = find_task("tydiqa")
    assert shares_model(find_task("xquad"), tydiqa)
    assert not shares_model(find_task("lareqa"), tydiqa)


def test_the_data_card_says_what_a_target_is_trained_on_and_shares():
    train_from = {"xquad": "tydiqa", "lareqa": "tydiqa"}
    targets = ["tydiqa", "xquad", "lareqa", "xnli"]
    card = data_card(["squad", "mnli"], targets, ["files"], {}, train_from).set_index("task").notes
    pairs = "trained on question and answer pairs of tydiqa"
    assert "here trained on tydiqa; same data as squad: SQuAD's development set" in card["xquad"]
    assert pairs in card["lareqa"] and card["xnli"].endswith("same data as mnli: MultiNLI")
    assert training_notes("tydiqa", ["squad", "mnli"], train_from) == []
    fixture = data_card(["mnli"], ["xnli"], ["fixture"], {}).set_index("task").notes
    assert "MultiNLI" not in fixture["xnli"]
