"""One row of each canonical format, as short as it can be."""

EXAMPLES = {
    "classification": {"id": "1", "text": "a", "text_pair": "", "label": 1},
    "multiple_choice": {"id": "1", "prompt": "a", "choices": ["b", "c"], "label": 1},
    "span_qa": {
        "id": "1",
        "question": "a?",
        "context": "b c",
        "answers": {"text": ["c"], "answer_start": [2]},
    },
    "tagging": {"id": "1", "tokens": ["a", "b"], "tags": [0, 1]},
    "retrieval": {"id": "1", "text": "a", "text_pair": "", "gold": ["1"]},
}
