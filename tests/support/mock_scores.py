"""The mock predictions of the benchmark, with their official scores."""

import json

TAGGING = ("span_f1", "tag_f1")


MOCK = {
    "pawsx": "accuracy",
    "xnli": "accuracy",
    "panx": "span_f1",
    "udpos": "tag_f1",
    "bucc2018": "mined_f1",
    "tatoeba": "retrieval_accuracy",
    "xquad": "squad",
    "mlqa": "mlqa",
    "tydiqa": "squad",
    "mewslix": "mrr",
}


def read_mock(file, metric: str):
    """A file's predictions or labels: texts by question id, lists of ids by query id, sentences of
    tags, or lines.
    """
    text = file.read_text(encoding="utf-8")
    if metric == "mrr":
        return json.loads(text)
    if metric in ("squad", "mlqa"):
        value = json.loads(text)
        if "data" not in value:
            return value
        questions = [
            q for article in value["data"] for p in article["paragraphs"] for q in p["qas"]
        ]
        return {q["id"]: [answer["text"] for answer in q["answers"]] for q in questions}
    lines = [line.strip() for line in text.rstrip("\n").split("\n")]
    return (
        [tags.split("\n") for tags in "\n".join(lines).split("\n\n")]
        if metric in TAGGING
        else lines
    )
