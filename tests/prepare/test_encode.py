"""Canonical rows as sequences: nothing is lost at a window's border, and every target points at its
own text.
"""

import numpy as np
import pytest
from datasets import Dataset

from small_encoders import bert_tokenizer, byte_tokenizer, folding_tokenizer
from xgrl.models.encoder import load_encoder
from xgrl.prepare.encode import IGNORED, QUESTION, STRIDE, encode, special_frame
from xgrl.tasks.formats import validate
from xgrl.tasks.sources.fixture import fixture_rows


@pytest.fixture(
    scope="module", params=["tiny", pytest.param("embedded", marks=pytest.mark.embedded)]
)
def tokenizer(request):
    return load_encoder(request.param)[1]


def rows(format: str, name: str = "toy", labels=()) -> Dataset:
    found = fixture_rows(name, format, "en", "test", labels)
    return Dataset(validate(found, format, labels).table)


LONG = (
    "Die Brücke über den Fluß wurde 1903 gebaut, und zwar von zwei Brüdern aus Zürich. "
    "東京タワーは1958年に完成した。"
    "Её высота  составляет 332,9 метра; रात में वह चमकती है. "
)


def questions() -> Dataset:
    """Real scripts, doubled blanks and an answer in every part of a long context."""
    context = " ".join(LONG for _ in range(6))
    answers = ["zwei Brüdern", "東京タワー", "332,9", "रात में", "Brücke über", "1958年"]
    found = []
    for i, text in enumerate(answers * 2):
        start = context.index(text) if i < len(answers) else context.rindex(text)
        row = {"id": str(i), "question": "Wer, wo, was? " * (1 + 30 * (i == 3))}
        answer = {"text": [text], "answer_start": [start]}
        found.append(row | {"context": context, "answers": answer})
    found.append(found[0] | {"id": "none", "answers": {"text": [], "answer_start": []}})
    return Dataset(validate(found, "span_qa").table)


@pytest.mark.parametrize("max_length", [32, 48, 96])
def test_windows_cover_the_context_and_spans_point_at_the_answer(tokenizer, max_length):
    found = questions()
    encoded = encode(found, "span_qa", tokenizer, max_length)
    assert encoded.tokens.lengths.max() <= max_length and len(encoded.first) == len(found) + 1
    for i, row in enumerate(found):
        covered, hits = np.zeros(len(row["context"]), bool), 0
        for window in range(encoded.first[i], encoded.first[i + 1]):
            start, end = encoded.tokens.offsets[window : window + 2]
            origin, (a, b) = encoded.origin[start:end], encoded.targets[window]
            for x, y in origin[origin[:, 0] >= 0]:
                covered[x:y] = True
            if b:
                hits += 1
                text = row["context"][origin[a, 0] : origin[b, 1]].strip()
                answer = row["answers"]["text"][0]
                # whole pieces, so a little more
                assert answer in text and len(text) <= len(answer) + 12, (text, answer)
        letters = np.array([not c.isspace() for c in row["context"]])
        assert covered[letters].all(), "every letter of the context is in some window"
        assert hits >= 1 if row["answers"]["text"] else hits == 0


def test_a_long_question_keeps_its_first_pieces_in_every_window(tokenizer):
    rows, longest = questions(), min(QUESTION, 64 // 3)
    encoded = encode(rows, "span_qa", tokenizer, 64)
    pieces = tokenizer(rows["question"][3], add_special_tokens=False)["input_ids"]
    assert len(pieces) > longest
    for window in range(encoded.first[3], encoded.first[4]):
        ids = encoded.tokens[window].tolist()
        assert ids[1 : 1 + longest] == pieces[:longest]
        assert ids[1 + longest] == tokenizer.sep_token_id


def test_neighbouring_windows_overlap(tokenizer):
    encoded = encode(questions(), "span_qa", tokenizer, 64)
    first, second = (
        encoded.origin[encoded.tokens.offsets[w] : encoded.tokens.offsets[w + 1]] for w in (0, 1)
    )
    shared = set(map(tuple, first[first[:, 0] >= 0].tolist())) & set(
        map(tuple, second[second[:, 0] >= 0].tolist())
    )
    assert 1 <= len(shared) <= STRIDE


def test_words_keep_their_tags_over_windows(tokenizer):
    labels = ("O", "B-X", "I-X", "B-Y")
    sentences = [
        {
            "id": "a",
            "tokens": ["Straße", "zu", "\u200b", "東京タワー", "incomprehensibilities"] * 9,
            "tags": [0, 1, 2, 3, 0] * 9,
        },
        {"id": "b", "tokens": ["x"], "tags": [3]},
    ]
    found = Dataset(validate(sentences, "tagging", labels).table)
    encoded = encode(found, "tagging", tokenizer, 24)
    assert encoded.tokens.lengths.max() <= 24
    before, after = special_frame(tokenizer)
    for i, row in enumerate(found):
        words, tags = [], []
        for window in range(encoded.first[i], encoded.first[i + 1]):
            start, end = encoded.tokens.offsets[window : window + 2]
            ids, origin, targets = (
                array[start:end] for array in (encoded.tokens.ids, encoded.origin, encoded.targets)
            )
            assert ids[: len(before)].tolist() == before
            assert ids[len(ids) - len(after) :].tolist() == after
            assert ((origin >= 0) == (targets != IGNORED)).all()
            words += origin[origin >= 0].tolist()
            tags += targets[targets != IGNORED].tolist()
        assert words == list(range(len(row["tokens"]))), "every word once, in order"
        assert tags == row["tags"]


def test_a_word_longer_than_a_window_is_cut_and_keeps_its_tag(tokenizer):
    sentences = [
        {"id": "a", "tokens": ["ab " * 0 + "incomprehensibilities" * 20, "x"], "tags": [1, 0]}
    ]
    encoded = encode(
        Dataset(validate(sentences, "tagging", ("O", "X")).table), "tagging", tokenizer, 10
    )
    assert encoded.targets[encoded.targets != IGNORED].tolist() == [1, 0]
    assert encoded.tokens.lengths.max() <= 10


def test_choices_and_pairs_are_sequences_of_one_example(tokenizer):
    found = rows("multiple_choice")
    encoded = encode(found, "multiple_choice", tokenizer, 64)
    row = found[3]
    for k, choice in enumerate(row["choices"]):
        assert (
            encoded.tokens[encoded.first[3] + k].tolist()
            == tokenizer(row["prompt"], choice)["input_ids"]
        )
    assert encoded.labels.tolist() == found["label"]
    pairs = rows("pairs")
    encoded = encode(pairs, "pairs", tokenizer, 64)
    assert encoded.tokens[2 * 5].tolist() == tokenizer(pairs[5]["text"])["input_ids"]
    assert encoded.tokens[2 * 5 + 1].tolist() == tokenizer(pairs[5]["candidate"])["input_ids"]
    again = encode(pairs.select([5, 7, 5]), "pairs", tokenizer, 64)
    assert again.labels.tolist() == [0, 1, 0], "equal candidates have one number"


def test_rows_with_and_without_second_text(tokenizer):
    found = Dataset.from_dict(
        {"id": ["1", "2"], "text": ["a b", "c"], "text_pair": ["d", ""], "label": [1, 0]}
    )
    encoded = encode(found, "classification", tokenizer, 32)
    assert encoded.tokens[0].tolist() == tokenizer("a b", "d")["input_ids"]
    assert encoded.labels.tolist() == [1, 0]
    assert encoded.tokens[1].tolist() == tokenizer("c")["input_ids"]
    bare = encode(found.select_columns(["id", "text"]), "retrieval", tokenizer, 32)
    assert bare.labels is None and bare.tokens[0].tolist() == tokenizer("a b")["input_ids"]


def test_a_length_that_the_encoder_cannot_take_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"max_length=9000: the encoder takes at most"):
        encode(rows("multiple_choice"), "multiple_choice", tokenizer, 9000)


def question(context: str, text: str, at: int) -> dict:
    answers = {"text": [text], "answer_start": [at]}
    return {"id": context, "question": "who", "context": context, "answers": answers}


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("Bob in Rome ", "Rome "),
        ("Bob in Rome \u200f", "Rome \u200f"),
        ("Bob in Rome", "Bob "),
        ("Bob\u200f in Rome", "Bob\u200f"),
        ("Bob\u3000in Rome", "Bob\u3000"),
        ("\u200fRome in Bob", "\u200fRome"),
        ("\ufeffRome in Bob", "\ufeffRome"),
        (" Rome in Bob", " Rome"),
        ("Bob in Rome", " in "),
    ],
)
def test_an_answer_is_what_its_first_and_last_piece_say(removed, context, text):
    tokenizer = folding_tokenizer(removed)
    row = question(context, text, context.index(text))
    encoded = encode(Dataset(validate([row], "span_qa").table), "span_qa", tokenizer, 32)
    first, last = encoded.targets[0]
    pieces = tokenizer.convert_ids_to_tokens(encoded.tokens[0][first : last + 1])
    assert [piece.strip("▁") for piece in pieces] == [text.strip(" \u3000\u200f\ufeff")]


@pytest.mark.parametrize("max_length", [9, 10, 12])
def test_an_answer_that_two_windows_share_is_in_neither(max_length):
    context = "Bob in Rome " * 6
    rows = [question(context, "Bob in Rome Bob in Rome", at * 12) for at in range(5)]
    encoded = encode(Dataset.from_list(rows), "span_qa", folding_tokenizer(False), max_length)
    room = max_length - 5
    assert encoded.tokens.lengths.max() <= max_length
    long_enough = encoded.targets[:, 1] > 0
    assert long_enough.any() == (room >= 6)
    assert (np.diff(encoded.targets[long_enough]) == 5).all()


@pytest.mark.parametrize("max_length", range(8, 13))
@pytest.mark.parametrize("kind", [bert_tokenizer, byte_tokenizer, None])
def test_the_shortest_windows_cover_the_context_too(kind, max_length, tokenizer):
    tokenizer = kind() if kind else tokenizer
    long = "Wo ist ก็ กำ 👩‍👩‍👧? " * 3
    found = questions().select([0, 12])
    found = found.remove_columns("question").add_column("question", [long, "a"])
    encoded = encode(found, "span_qa", tokenizer, max_length)
    assert encoded.tokens.lengths.max() <= max_length
    for i, row in enumerate(found):
        start, end = encoded.tokens.offsets[encoded.first[i : i + 2]]
        covered = np.zeros(len(row["context"]), bool)
        for x, y in encoded.origin[start:end]:
            covered[x:y] |= x >= 0
        assert covered[[not c.isspace() for c in row["context"]]].all()


@pytest.mark.parametrize("prefix", [False, True])
def test_words_on_bytes_have_the_pieces_of_running_text(prefix):
    tokenizer = byte_tokenizer(add_prefix_space=prefix)
    words = ["the", "cat", "cat's", "東", "and", "cat"]
    found = Dataset.from_dict({"id": ["a"], "tokens": [words], "tags": [[*range(6)]]})
    encoded = encode(found, "tagging", tokenizer, 64)
    assert encoded.tokens[0].tolist() == tokenizer(" ".join(words))["input_ids"]
    begins = np.flatnonzero(encoded.origin >= 0)
    assert encoded.origin[begins].tolist() == encoded.targets[begins].tolist() == [*range(6)]
    pieces = tokenizer.convert_ids_to_tokens(encoded.tokens[0][begins[1:]])
    assert all(piece.startswith("Ġ") for piece in pieces)


@pytest.mark.parametrize("kind", [bert_tokenizer, lambda: folding_tokenizer(True), None])
def test_words_of_other_tokenizers_are_as_they_were(kind, tokenizer):
    tokenizer = kind() if kind else tokenizer
    words = ["Bob", "in", "Rome"]
    found = Dataset.from_dict({"id": ["a"], "tokens": [words], "tags": [[0, 1, 2]]})
    expected = tokenizer(words, is_split_into_words=True)["input_ids"]
    assert encode(found, "tagging", tokenizer, 32).tokens[0].tolist() == expected


def test_segments_are_those_that_the_tokenizer_gives():
    tokenizer = bert_tokenizer()
    tokenizer.model_max_length = 40

    def types(encoded, i):
        return encoded.tokens.types(i).tolist()

    found = rows("multiple_choice")
    encoded, row = encode(found, "multiple_choice", tokenizer, 40), found[3]
    for k, choice in enumerate(row["choices"]):
        given = tokenizer(row["prompt"], choice, truncation=True, max_length=40)
        assert types(encoded, encoded.first[3] + k) == given["token_type_ids"]
    texts = {"id": ["1", "2"], "text": ["a b", "c"], "text_pair": ["d", ""]}
    encoded = encode(Dataset.from_dict(texts), "retrieval", tokenizer, 32)
    assert types(encoded, 0) == [0, 0, 0, 0, 1, 1] and types(encoded, 1) == [0, 0, 0]
    encoded = encode(questions(), "span_qa", tokenizer, 40)
    for window in range(len(encoded.tokens)):
        own = slice(*encoded.tokens.offsets[window : window + 2])
        inside = np.flatnonzero(encoded.origin[own, 0] >= 0)
        # the context, and the special token after it
        expected = np.arange(own.stop - own.start) >= inside[0]
        assert types(encoded, window) == expected.tolist()
    sentences = Dataset.from_dict({"id": ["a"], "tokens": [["Bob", "in"]], "tags": [[0, 1]]})
    assert encode(sentences, "tagging", tokenizer, 32).tokens.segments is None
    assert encode(questions(), "span_qa", load_encoder("tiny")[1], 40).tokens.segments is None
