"""Sentences follow from the rows of a summary, and a row that is not there is no sentence."""

import copy
import json

import pytest

from simulate import simulate
from xgrl import stats
from xgrl.report import checks, claims, explanations, load_study, sentences, summary
from xgrl.report.explanations import ALL, ENGLISH_TOO
from xgrl.report.positive_control import positive_control


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The summary of a study whose dann gains eight points, with every part."""
    folder = simulate(tmp_path_factory.mktemp("claims"), effect=8.0, seed_sd=0.2, seeds=(0, 1, 2))
    study = load_study.collect(folder)
    comparison = stats.compare(study.predictions)
    control = positive_control(study, "standard")
    checked = checks.manipulation_checks(study, "standard", "dann")
    parts = explanations.explain(study, comparison) | {"positive_control": control}
    return json.loads(json.dumps(summary.summarise(study, comparison, checked, **parts)))


@pytest.fixture
def values(whole):
    """Its own of each test; standard above none on the average and on intent."""
    own = copy.deepcopy(whole)
    for row in own["positive_control"]:
        if row["kind"] == "average" or (row["kind"], row["part"]) == ("target", "intent"):
            row["gate"] = "passed"
    return own


def said(values, beginning):
    found = [text for text in claims.claims(values) if text.startswith(beginning)]
    assert len(found) == 1, claims.claims(values)
    return found[0]


def test_the_verdict_stands_first_with_every_task_and_without_hiding_it_begins_with_that(values):
    first = claims.claims(values)[0]
    assert first.startswith("For the intermediate tasks tried here (question-type ")
    assert values["comparison"]["sentence"] in first and "dann is better than standard" in first
    for row in values["comparison"]["per_intermediate"]:
        assert f"{row['intermediate']} {sentences.effect(row)}" in first
    for row in values["manipulation"]:
        row["passed"] = row["passed"] and "no"
    first = claims.claims(values)[0]
    assert first.startswith("By its gate dann does not hide the language")
    assert "a null says little" in said(values, "Language left after dann")


def test_checks_that_failed_stand_behind_the_headline(values):
    assert not claims.failed_checks(values) and claims.verdict(values) == claims.headline(values)
    said_last = "Checks that failed: task learned: nli; data audit."
    values["verdict"] = f"{values['comparison']['sentence']} {said_last}"
    assert claims.claims(values)[0] == f"{claims.headline(values)} {said_last}"
    assert "Checks" not in claims.headline(values) and claims.failed_checks(values) == said_last
    # an older summary has them in its sentence
    values["comparison"]["sentence"] = values["verdict"]
    assert claims.verdict(values) == claims.headline(values)
    assert said_last in claims.headline(values)


def test_one_fresh_probe_that_reads_more_is_enough(values):
    assert sentences.hidden(values) is True
    next(r for r in values["manipulation"] if r["reader"] == "fresh MLP")["passed"] = "no"
    assert sentences.hidden(values) is False
    values["manipulation"] = []
    assert sentences.hidden(values) is None
    assert said(values, "Whether dann hides the language was not probed")


def test_a_language_hidden_at_a_cost_is_said_to_be_that(values):
    row = {"baseline": 100.0, "treatment": 50.0, "bound": 90.0, "passed": "no", "blocks": 6}
    values["manipulation"].append(row | {"reader": "effective rank"})
    assert sentences.hidden(values) is True
    first = claims.claims(values)[0]
    assert first.startswith(
        "By its gate dann hides the language at the cost of effective rank; the gate is not passed,"
        " and a null is one of the manipulation. For"
    )
    text = said(values, "Language left after dann")
    assert "effective rank 50.00 (gate: at least 90.00)" in text
    assert text.endswith("hidden in the mean; for want of effective rank the gate is not passed.")


def test_a_language_hidden_after_one_intermediate_task_only_is_said_to_be_that(values):
    tasks = [row["intermediate"] for row in values["comparison"]["per_intermediate"]]
    rows = [row for row in values["manipulation"] if row["reader"] in explanations.FRESH]
    by_task = [row | {"intermediate": task, "passed": "yes"} for task in tasks for row in rows]
    values["manipulation_by_task"] = by_task
    assert claims.claims(values)[0].startswith("For the intermediate tasks")
    by_task[-1]["passed"] = "no"  # the MLP of the last task
    first = claims.claims(values)[0]
    assert first.startswith("By its gate dann hides the language in the mean over intermediate ")
    assert f"tasks; after {tasks[-1]}, taken by itself, it is not hidden. For" in first
    by_task[-1] |= {"treatment": 61.0, "bound": 44.0}
    by_task.append(by_task[-1] | {"reader": "effective rank", "treatment": 7.0, "bound": 9.0})
    text = said(values, "Language left after dann")
    assert f"After {tasks[-1]} a fresh MLP reads 61.0 % (after standard " in text
    assert "half-way 44.0; not hidden), effective rank is 7.00 (gate: at least 9.00)" in text
    assert text.count("; hidden)") == len(tasks) - 1 and text.count("; not hidden)") == 1
    assert text.endswith(f"in the mean; after {tasks[-1]} a null is one of the manipulation.")
    values["manipulation"].append(by_task[-1] | {"baseline": 10.0})
    first = claims.claims(values)[0]
    assert first.startswith(
        "By its gate dann hides the language at the cost of effective rank; the gate is not passed,"
        f" and a null is one of the manipulation; after {tasks[-1]}, taken by itself"
    )
    alone = [row for row in by_task if row["intermediate"] == tasks[-1]]
    values["manipulation_by_task"] = alone
    assert "After " not in said(values, "Language left after dann")


def test_what_an_average_covers_is_said_beneath_the_verdict(values):
    def verdict():
        return claims.claims(values)[0]

    assert "Groups differ" not in verdict() and "Without retrieval" not in verdict()
    row = {"low": -1.0, "high": 1.0, "p": 0.01, "p_holm": 0.02}
    values["groups"] = [
        row | {"part": "question answering", "theta": 2.5},
        row | {"part": "retrieval", "theta": -2.5},
        row | {"part": "structured prediction", "theta": None, "p_holm": None},
    ]
    values["means"] = [row | {"part": "all groups", "theta": 0.1}]
    values["means"].append(row | {"part": "without retrieval", "theta": 1.5})
    text = verdict()
    assert "Groups differ in sign: question answering better, retrieval worse." in text
    assert "Without retrieval +1.50 [-1.00, +1.00]." in text
    text = said(values, "By Holm over 2 groups of targets, behind no gate: question answering +2.5")
    assert text.endswith("Without retrieval +1.50 [-1.00, +1.00] (p = 0.01, not adjusted).")
    assert "On the others" not in " ".join(claims.claims(values))
    values["groups"][1]["p_holm"] = 0.2
    assert "Groups differ" not in verdict()


def test_a_baseline_that_is_worth_nothing_is_named_in_the_verdict(values):
    for row in values["positive_control"]:
        row["gate"] = "passed" if row["part"] == "intent" else "not shown"
    average = next(row for row in values["positive_control"] if row["kind"] == "average")
    text = "The gate, standard above none, is {} (mean " + sentences.effect(average) + ")."
    assert claims.headline(values).startswith(text.format("not passed on the average"))
    beside = average | {"part": "without retrieval", "gate": "passed"}
    values["positive_control"].insert(1, beside)
    assert claims.headline(values).startswith(text.format("not passed on the average"))
    average["gate"] = "English below none"
    assert "not passed on the average (English below none, mean " in claims.headline(values)
    average["gate"] = "passed"
    assert "The gate, " not in claims.claims(values)[0]
    for row in values["positive_control"]:
        row["gate"] = "not shown" if row["kind"] == "target" else row["gate"]
    assert claims.headline(values).startswith(text.format("passed on no target"))
    for row in values["manipulation"]:
        row["passed"] = "no"
    first = claims.headline(values)
    assert first.index("By its gate dann does not hide") < first.index("The gate, standard")
    for row in values["positive_control"]:
        row["gate"] = "not estimable"
    assert "The gate, " not in claims.headline(values)


def test_an_effect_of_few_blocks_says_that_no_p_can_be_small(values):
    assert "; each of 3 blocks, no p below 0.25): " in claims.claims(values)[0]
    floors = {3: "0.25", 4: "0.125", 5: "0.0625", 12: "0.00049", 15: "<0.0001"}
    assert {blocks: sentences.floor_of(blocks) for blocks in floors} == floors
    for row in values["comparison"]["per_intermediate"]:
        row["n_blocks"] = 10
    assert "no p below" not in claims.claims(values)[0]


def test_what_was_not_probed_is_hidden_at_no_cost(values):
    rows = [r for r in values["manipulation"] if r["reader"] not in explanations.FRESH]
    cost = {"baseline": 90.0, "treatment": 80.0, "bound": 89.0, "passed": "no", "blocks": 6}
    values["manipulation"] = [*rows, cost | {"reader": "English development"}]
    assert sentences.hidden(values) is None and "hides" not in claims.claims(values)[0]


def test_p_at_its_floor_is_said_to_be_that(values):
    values["comparison"]["p"] = 2 / 2**6
    assert said(values, "p = 0.031 is the floor of 6 blocks")
    values["comparison"]["p"] = 3 / 2**6
    assert not [text for text in claims.claims(values) if text.startswith("p = ")]
    values["comparison"]["per_intermediate"][0] |= {"p_raw": 2 / 2**3, "p_holm": 0.5}
    assert "p = 0.25, the floor of 3 blocks, 0.5 by Holm" in said(values, "After question-type")


def test_targets_are_told_by_holm_and_sign_and_described_behind_a_closed_gate(values):
    values["comparison"]["gate"] = True
    rows = values["comparison"]["per_task"]
    for row, theta, p in zip(rows, (-2.0, 3.0, 1.0), (0.01, 0.02, 0.3), strict=True):
        row |= {"theta": theta, "p_holm": p}
    one, two, three = (row["target"] for row in rows)
    text = said(values, "By Holm over 3 targets")
    assert f"below standard on {one}, above standard on {two}, inconclusive on {three}." in text
    rows[2]["tost_p"] = 0.01
    assert f"equivalent (each by itself) on {three}." in said(values, "By Holm over 3 targets")
    values["comparison"]["gate"] = False
    assert said(values, "The average does not reject, so that its 3 targets")


def test_the_positive_control_has_its_gate_and_without_rows_no_interval(values):
    assert "pairs of intermediate task and target" in said(values, "Positive control")
    for row in values["positive_control"]:
        row["gate"] = "passed" if row["part"] == "intent" else "not shown"
    text = said(values, "Positive control")
    assert "on 1 of 3 targets (intent) and by 2 of 6 pairs" in text and "is open" not in text
    del values["positive_control"]
    for row, none in zip(values["table"], (0, 0, 100, 100), strict=True):
        row["scores"] |= {"none": none, "standard": 50}
    text = said(values, "standard scores above none")
    assert "on 1 of 3 targets (means; no interval" in text
    values["table"][1]["scores"]["none"] = 100
    assert "what dann does where English training helps is open" in said(values, "standard scores")
    for row in values["table"]:
        row["scores"]["none"] = None
    assert said(values, "There is no positive control")


def test_the_base_papers_gains_stand_beside_targets_that_it_has(values):
    assert not any(text.startswith("XLM-R Large") for text in claims.claims(values))
    rows = [row for row in values["positive_control"] if row["kind"] == "target"]
    rows[0]["part"], rows[1]["part"] = "panx", "tydiqa"
    text = said(values, "XLM-R Large by the best intermediate task of each target")
    for gain, row in zip(("-1.4", "+10.9"), rows, strict=False):  # 65.4 to 64.0, 65.1 to 76.0
        assert f"{row['part']} {gain}, here {sentences.effect(row)}" in text


def test_retrieval_has_a_share_only_where_signs_agree(values):
    c = values["comparison"]
    names = [row["target"] for row in c["per_task"]]
    effects = {"emoji-names": -6.0, "intent": -1.0, "sentiment": -1.0}
    for row in c["per_task"]:
        row["theta"] = effects[row["target"]]
    c["weights"] = [0.5 if name == "emoji-names" else 0.25 for name in names]
    text = said(values, "Plain retrieval (emoji-names)")
    assert "carries 85.7 % of the effect with 50.0 % of the weight" in text
    assert "-1.00 points" in text
    c["per_task"][names.index("intent")]["theta"] = 1.0
    text = said(values, "Targets differ in the sign")
    assert "carries" not in text and "+0.00 points" in text
    c["gate"] = False
    assert said(values, "On the others") and "has no share" not in " ".join(claims.claims(values))
    c["per_task"][0]["target"] = "a target of one's own"
    assert not [text for text in claims.claims(values) if "retrieval" in text]


@pytest.mark.parametrize(
    ("theta", "p", "word"),
    [(1.0, 0.01, "widens"), (-1.0, 0.01, "narrows"), (1.0, 0.2, "inconclusive")],
)
def test_the_gap_widens_narrows_or_is_inconclusive(values, theta, p, word):
    row = next(r for r in values["gap"] if (r["target"], r["part"]) == (ENGLISH_TOO, "gap"))
    row |= {"theta": theta, "p": p}
    text = said(values, "On the 2 targets with an English part")
    assert word in text and "At equal English score" in text
    values["matched_english"] = []
    assert "At equal English score" not in said(values, "On the 2 targets with an English part")
    values["gap"] = []
    assert not [text for text in claims.claims(values) if "English part" in text]


def test_interaction_and_correlation_are_said_with_what_they_do_not_show(values):
    row = next(r for r in values["interaction"] if r["target"] == ALL)
    row |= {"p": 0.01, "F": 9.0, "df_between": 1, "df_within": 4, "blocks": 6}
    assert said(values, "The intermediate tasks differ in the effect (F(1, 4) = 9.0, p = 0.01")
    row["p"] = 0.2
    assert "is not shown" in said(values, "That the intermediate tasks differ")
    assert explanations.NO_PROOF in said(values, "Correlation of the change of score with that of")


def test_an_old_summary_has_fewer_sentences_and_the_records_beside_it_give_some(values, tmp_path):
    for part in (*explanations.ABOUT, "positive_control"):
        del values[part]
    path = tmp_path / "analysis/summary.json"
    path.parent.mkdir()
    path.write_text(json.dumps(values))
    fewer = claims.claims(claims.read(path))
    assert len(fewer) >= 4 and not [text for text in fewer if "effective rank" in text]
    runs = {}
    for arm, left in (("standard", 90.0), ("dann", 80.0)):
        for row in values["comparison"]["blocks"]:
            given = {"intermediate": row["intermediate"], "seed": row["seed"], "arm": arm}
            probe = {"accuracy": left, "mlp": left, "chance": 10.0}
            runs[f"{arm} {row}"] = {"phase": "probe", "parameters": given, "metrics": probe}
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    more = claims.claims(claims.read(path))
    assert "a fresh MLP reads 80.0 %" in "".join(more) and more[0].startswith("By its gate")


def test_nothing_compared_is_said_once():
    nothing = stats.not_compared("standard", "dann", 1.0, "no target runs of dann")
    values = {"comparison": nothing.summary(), "treatment": "dann", "verdict": str(nothing)}
    (only,) = claims.claims(values)
    assert only == str(nothing) and "not compared: no target runs of dann" in only


def test_blocks_of_arms_are_whole_numbers_beside_one_that_cannot_be_compared(values):
    values["arms_against_baseline"] = [arm("noise") | {"against": "standard"}]
    assert "noise - standard -1.00 [-2.00, +0.00] (6 blocks)" in said(values, "Described, without")


def arm(name, verdict="inconclusive", theta=-1.0, p=0.03, p_max_t=0.2, p_holm=0.3):
    row = {"arm": name, "verdict": verdict, "theta": theta, "low": theta - 1, "high": theta + 1}
    return row | {"p": p, "p_max_t": p_max_t, "p_holm": p_holm, "blocks": 6.0}


def test_an_arm_is_claimed_with_both_corrections_alone(values):
    rows = [arm("mlm"), arm("cdan", "inferior", p_max_t=0.01), arm("wdgrl", "equivalent")]
    values |= {"arms_against_baseline": rows, "dose_response": []}
    text = "\n".join(claims.arm_claims(values))
    assert "**No arm passes both corrections" in text and "none of them is claimed" in text
    assert "of it: no arm could." in text and "0.094" in text
    assert "Inconclusive, neither told apart from standard" in text and ": mlm.\n" in text
    assert "within the margin, each by itself: wdgrl." in text
    rows[1] |= {"p_holm": 0.04}
    text = "\n".join(claims.arm_claims(values))
    assert "Both corrections over 3 arms pass: cdan -1.00 [-2.00, +0.00]." in text
    for row in rows:
        row |= {"p_max_t": None, "p_holm": None}
    assert "too few to adjust p over arms" in "\n".join(claims.arm_claims(values))
