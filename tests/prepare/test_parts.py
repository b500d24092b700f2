"""The parts of the prepared folder that a run follows from."""

from xgrl.prepare.parts import input_parts


def test_a_run_reads_the_parts_it_follows_from():
    assert input_parts("intermediate", 2, tasks=["sarcasm"], arm="standard") == [
        "encoder",
        "intermediate/sarcasm",
    ]
    assert input_parts("intermediate", 2, tasks=["a", "b"], arm="dann-0.1")[1:] == [
        "intermediate/a",
        "intermediate/b",
        "unlabelled",
    ]
    assert (
        input_parts("intermediate", 2, tasks=["sentiment"], arm="translated")[-1]
        == "intermediate/sentiment/translated"
    )
    assert input_parts("intermediate", 2, tasks=["sarcasm"], arm="mlm")[-2:] == [
        "language-modelling",
        "vocabulary",
    ]
    assert input_parts("target", -1, target="intent") == ["encoder", "target/intent", "vocabulary"]
    assert input_parts("probe", 2) == ["encoder", "texts"]


def test_an_arm_that_trains_nothing_reads_its_text_at_the_later_stages():
    for arm, text in {
        "leace": ["unlabelled"],
        "leace-dann": ["unlabelled"],
        "centring": [],
    }.items():
        assert input_parts("target", 2, arm=arm, target="intent") == [
            "encoder", *text, "target/intent",
        ]  # fmt: skip
        assert input_parts("probe", 2, arm=arm) == ["encoder", *text, "texts"]
    for arm in ("none", "dann", "alignment"):
        assert input_parts("probe", 2, arm=arm) == input_parts("probe", 2)
