"""Averages over groups, by hand; what is missing is named; XTREME-R's own average beside them."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from xgrl import stats
from xgrl.report import averages, load_study, plan, robustness, summary
from xgrl.tasks import find_task

POINTS = {  # dann - standard in every run, by target and language
    "xnli": {"de": 1.0, "sw": 3.0}, "xcopa": {"sw": 6.0}, "udpos": {"de": -2.0},
    "panx": {"de": 0.0, "sw": 4.0}, "tatoeba": {"de": -8.0, "sw": -4.0}, "lareqa": {"de": -10.0},
}  # fmt: skip
BY_GROUP = {"classification": 4.0, "structured prediction": 0.0, "retrieval": -8.0}


def made(points=POINTS, **fields) -> load_study.Study:
    """A study of two tasks and four seeds; noise that is 0 on average over runs and items."""
    rows, runs = [], []
    noise = np.array([[3.0, -3.0], [-1.0, 1.0], [-2.0, 2.0], [0.0, 0.0]])  # (seed, item)
    shift = np.array([0.5, -0.5, 0.25, -0.25])
    for task in ("qa", "siqa"):
        for seed in range(4):
            for arm in ("standard", "dann"):
                for target, own in points.items():
                    run = {"phase": "target", "intermediate": task, "arm": arm, "target": target}
                    scores = {"en": 90.0} | {name: 50.0 + 10 * (name == "sw") for name in own}
                    if arm == "dann":
                        scores |= {name: scores[name] + own[name] + shift[seed] for name in own}
                    official = {name: {"f1": s + 1, "accuracy": s} for name, s in scores.items()}
                    runs.append(run | {"seed": seed, "scores": scores, "official": official})
                    for language, score in scores.items():
                        for item in range(2):
                            value = score + (arm == "dann") * noise[seed, item]
                            cell = {"study": "s", "seed": seed, "language": language}
                            cell |= {"example_id": f"{target}-{item}", "score": value}
                            rows.append({**run, **cell})
    frames = {name: pd.DataFrame() for name in ("curves", "probes", "maps", "parallel", "audit")}
    seen = pd.DataFrame({"language": ["en", "de", "sw"], "seen": [True, True, False]})
    frames |= {"languages": seen, "runs": pd.DataFrame(runs), "predictions": pd.DataFrame(rows)}
    return load_study.Study("s", **(frames | {"average": "groups"} | fields))


def test_every_group_weighs_the_same_and_its_targets_equally():
    weights = averages.group_weights(list(POINTS))
    assert weights == pytest.approx(dict.fromkeys(POINTS, 1 / 6))
    answering = ["xquad", "mlqa", "tydiqa"]
    weights = averages.group_weights(["xnli", *answering])
    assert weights == pytest.approx({"xnli": 1 / 2} | dict.fromkeys(answering, 1 / 6))
    # own and embedded tasks have the group of their format
    assert averages.group_weights(["sentiment", "slots"]) == {"sentiment": 0.5, "slots": 0.5}
    for group, tasks in averages.GROUPS.items():
        assert {averages.group_of(task) for task in tasks} == {group}
    assert len(averages.TASKS) == 10
    with pytest.raises(ValueError, match="nosuch"):
        averages.group_of("nosuch")


def test_the_planned_estimate_is_the_mean_over_groups_and_each_has_its_row():
    study = made()
    weigh = averages.weigher(study, None)
    planned = stats.compare(study.predictions, plan={"weights": weigh})
    assert planned.theta == pytest.approx((4 + 0 - 8) / 3)  # by hand, from POINTS
    tables = averages.further_averages(study, "standard", "dann", 1.0)
    assert list(tables) == ["means", "groups", "xtreme_r"]
    means, groups = (tables[name].set_index("part") for name in ("means", "groups"))
    whole = means.loc["all groups"]
    assert (whole.theta, whole.low, whole.high) == pytest.approx((planned.theta, *planned.ci))
    assert whole.p == planned.p and whole.tost_p == planned.tost_p
    assert means.theta["without retrieval"] == pytest.approx((4 + 0) / 2)
    assert "tatoeba" not in means.targets["without retrieval"] and "p_holm" not in means
    assert groups.theta.dropna().to_dict() == pytest.approx(BY_GROUP)
    assert (groups.low.dropna() < groups.theta.dropna()).all()
    there = groups.dropna(subset=["theta"])
    assert there.p_holm.to_numpy() == pytest.approx(stats.holm(there.p))


def test_missing_groups_and_tasks_are_named():
    tables = averages.further_averages(made(), "standard", "dann", 1.0)
    means, groups = (tables[name].set_index("part") for name in ("means", "groups"))
    assert means.missing["all groups"] == "question answering, mewslix"
    assert means.missing["without retrieval"] == "question answering"
    assert list(groups.index) == list(averages.GROUPS)
    absent = groups.loc["question answering"]
    assert np.isnan(absent.theta) and absent.note == "no target in this study"
    assert absent.targets == "" and groups.targets["retrieval"] == "lareqa, tatoeba"
    assert groups.missing["classification"] == "" and groups.missing["retrieval"] == "mewslix"


@pytest.mark.parametrize("target", ["xnli", "tatoeba"])
def test_a_study_with_one_group_is_that_group(target):
    study = made({target: POINTS[target]})
    planned = stats.compare(study.predictions, plan={"weights": averages.weigher(study, None)})
    tables = averages.further_averages(study, "standard", "dann", 1.0)
    means, groups = (tables[name].set_index("part") for name in ("means", "groups"))
    own = groups.loc[averages.group_of(target)]
    assert means.theta["all groups"] == own.theta == pytest.approx(planned.theta)
    assert own.p_holm == own.p and groups.theta.notna().sum() == 1
    left = means.loc["without retrieval"]
    assert left.theta == pytest.approx(own.theta) if target == "xnli" else np.isnan(left.theta)


def test_a_study_whose_average_is_over_targets_has_neither_and_keeps_its_estimate():
    study = made(average="targets")
    assert averages.weigher(study, None) is None
    assert list(averages.further_averages(study, "standard", "dann", 1.0)) == ["xtreme_r"]
    listed = plan.Plan(None, "", {"weights": dict.fromkeys(POINTS, 2.0)})
    weights = averages.weigher(study, listed)
    same = stats.compare(study.predictions, plan={"weights": weights})
    assert same.theta == pytest.approx(stats.compare(study.predictions).theta)


def test_xtreme_r_s_own_average_has_english_and_says_what_it_lacks():
    table = averages.xtreme_r(made()).set_index("task")
    assert list(table.index) == [*averages.TASKS, "mean"]
    assert table.standard["xnli"] == pytest.approx((90 + 50 + 60) / 3)
    assert table.dann["xnli"] == pytest.approx((90 + 51 + 63) / 3)
    assert table.standard["xcopa"] == pytest.approx(60.0)  # it has no English test set
    # lareqa, udpos: en and de; panx: en, de, sw; Tatoeba has no English
    by_task = [200 / 3, 60.0, 70.0, 200 / 3, 55.0, 70.0]
    assert table.standard["mean"] == pytest.approx(np.mean(by_task))
    assert table.languages["mean"] == "6 of 10 tasks"
    assert table.missing["mean"] == "xquad, mlqa, tydiqa, mewslix"
    assert table.languages["xnli"] == "3 of 15" and "ar, bg" in table.missing["xnli"]
    assert table.missing["mlqa"] == "the whole task" and np.isnan(table.dann["mlqa"])
    assert table.data["xnli"] == "not stated"
    assert averages.xtreme_r(made({"sentiment": {"de": 1.0}})).empty


def test_an_arm_without_one_of_the_tasks_has_no_mean():
    study = made()
    runs = study.runs[(study.runs.arm != "dann") | (study.runs.target != "udpos")]
    table = averages.xtreme_r(made(runs=runs)).set_index("task")
    assert np.isnan(table.dann["mean"]) and table.standard["mean"] > 0


def test_published_numbers_stand_beside_official_test_data_alone():
    names = [
        f"target/{task}/test-{name}" for task in ("xnli", "panx") for name in ("en", "de", "sw")
    ]
    stated = dict.fromkeys(names, "official") | {"target/panx/test-de": "development"}
    stated |= {"target/tatoeba/queries-de": "official"}
    table = averages.published(made(provenance=stated)).set_index("task")
    assert list(table.index) == ["xnli"]
    assert table.loc["xnli", "XLM-R Large"] == 79.2 and table.metric["xnli"] == "accuracy"
    assert table.standard["xnli"] == pytest.approx((90 + 50 + 60) / 3)
    assert averages.published(made()).empty
    said = averages.xtreme_r(made(provenance=stated)).set_index("task").data
    assert said["xnli"] == "official" and said["panx"] == "development: de; official: en, sw"
    assert said["tatoeba"] == "official: de; not stated: sw"


def test_published_numbers_leave_out_languages_that_xtreme_has_not():
    points = {"udpos": {"de": 0.0, "ro": 30.0}}
    stated = dict.fromkeys(["target/udpos/test-en", "target/udpos/test-de"], "official")
    row = averages.published(made(points, provenance=stated)).iloc[0]
    assert row.metric == "f1" and row.standard == pytest.approx((91 + 51) / 2)
    known = {name for task in averages.TASKS for name in find_task(task, "target").languages}
    assert known >= averages.ADDED and len(known - averages.ADDED) == 40  # XTREME's


def test_leaving_a_target_out_gives_its_group_to_the_others():
    rows = made().predictions
    left = robustness.leave_one_out(rows, "standard", "dann", averages.group_weights)
    left = left.set_index("left_out").theta
    assert left[""] == pytest.approx((4 + 0 - 8) / 3)
    assert left["xcopa"] == pytest.approx((2 + 0 - 8) / 3)  # classification is xnli's 2 points


def test_arms_are_weighed_like_the_planned_comparison():
    rows = made().predictions
    weigh = averages.group_weights
    against = stats.against_baseline(rows, "standard", ["dann"], weigh=weigh).iloc[0]
    pair = stats.pairs(rows, [("standard", "dann")], weigh=weigh).iloc[0]
    assert against.theta == pair.theta == pytest.approx((4 + 0 - 8) / 3)


def test_the_page_s_table_names_the_groups_where_the_average_is_over_them():
    study = made()
    rest = {"runs": 1, "core_hours": 1.0, "peak_memory_mb": 1.0}
    comparison = stats.compare(study.predictions, plan={"weights": averages.group_weights})
    rest |= {"baseline": "standard", "treatment": "dann"}
    row = {"target": "all targets", "scores": {"dann": 1.0}, "theta": 1.0, "p": 0.5}
    values = rest | {"blocks": 8, "verdict": "v", "arms": ["dann"]}
    rows = [row | {"low": 0.0, "high": 2.0}]
    values |= {"table": rows, "comparison": comparison.summary()}
    assert "Mean over targets and zero-shot languages" in summary.results_table(values)
    tables = averages.further_averages(study, "standard", "dann", 1.0)
    names = [name for r in tables["groups"].targets if r for name in r.split(", ")]
    scores = {name: {"dann": 10.0 * k} for k, name in enumerate(names)}
    values["table"] = rows + [rows[0] | {"target": name, "scores": scores[name]} for name in names]
    text = summary.results_table(json.loads(json.dumps(stats.plain(values | tables))))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    for part, effect in (("classification", "+4.00"), ("retrieval", "-8.00"),
                         ("without retrieval", "+2.00")):  # fmt: skip
        assert f"{effect} [" in lines[part]
    own = tables["groups"].set_index("part").targets["classification"].split(", ")
    mean = sum(scores[name]["dann"] for name in own) / len(own)
    assert f"| {mean:.1f} " in lines["classification"] and "question answering" not in lines
    assert [*lines][-1] == "without retrieval" and not {*names} & {*lines}
    assert "p of groups adjusted by Holm" in text
    values["comparison"] |= {"gate": False}  # of targets, not of groups, which may differ in sign
    tables["groups"] = tables["groups"].assign(p_holm=0.001)
    text = summary.results_table(json.loads(json.dumps(stats.plain(values | tables))))
    shown = next(line for line in text.splitlines() if line.startswith("| retrieval"))
    assert shown.split("|")[-2].strip() == "worse"


def test_plain_retrieval_from_other_layers_stands_beside_and_counts_nowhere():
    study = made()
    assert "retrieval_layers" not in averages.further_averages(study, "standard", "dann", 1.0)
    study.runs["retrieval_layer"] = 10
    own = study.predictions[study.predictions.target == "tatoeba"]
    last = own.assign(layer=-1)
    last["score"] -= 5.0 * (last.arm == "dann")
    untrained = own[(own.arm == "dann") & (own.seed == 0)].assign(arm="none", intermediate="none")
    untrained["score"] = untrained.language.map({"en": 0.0, "de": 70.0, "sw": 50.0})
    last = pd.concat([last, untrained.assign(layer=-1)], ignore_index=True)
    study = dataclasses.replace(study, further_layers=last)
    tables = averages.further_averages(study, "standard", "dann", 1.0)
    table = tables["retrieval_layers"].set_index("layer")
    assert table.counts.to_dict() == {10: True, -1: False} and list(table.index) == [10, -1]
    assert table.theta.to_dict() == pytest.approx({10: -6.0, -1: -11.0})
    assert table.none[-1] == pytest.approx(60.0) and np.isnan(table.none[10])
    assert table.p_holm.to_numpy() == pytest.approx(stats.holm(table.p))
    planned = stats.compare(study.predictions, plan={"weights": averages.weigher(study, None)})
    assert planned.theta == pytest.approx((4 + 0 - 8) / 3)
