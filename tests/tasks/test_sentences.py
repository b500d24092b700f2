"""`xgrl.tasks.sentences`: where text is cut, and what passes as a sentence."""

import itertools

import pytest

from xgrl.tasks.sentences import LONGEST, SHORTEST, passing, sentence_spans, sentences


def test_sentences_of_a_paragraph_cover_it_and_know_abbreviations():
    text = (
        ' The U.S. is big. Mr. Smith met J. K. Rowling in 1990. "Really?" he said. It cost $3.5 '
        "million. Then he left. "
    )
    spans = sentence_spans(text, "en")
    assert [text[start:end] for start, end in spans] == [
        "The U.S. is big.",
        "Mr. Smith met J. K. Rowling in 1990.",
        '"Really?" he said.',
        "It cost $3.5 million.",
        "Then he left.",
    ]
    assert not "".join(
        text[end:start] for (_, end), (start, _) in itertools.pairwise(spans)
    ).strip()
    assert sentence_spans("no end", "en") == [(0, 6)] and sentence_spans("  ", "en") == []


def test_a_hindi_passage_ends_no_sentence_after_a_title_or_an_initial():
    text = "डॉ. राम ए. के. मिश्र आए। वे कौन हैं? घर"
    spans = sentence_spans(text, "hi")
    assert [text[start:end] for start, end in spans] == ["डॉ. राम ए. के. मिश्र आए।", "वे कौन हैं?", "घर"]


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        (
            "en",
            "Dr. Smith, J. R., left. He was 3.5 m tall! Was he?",
            ["Dr. Smith, J. R., left.", "He was 3.5 m tall!", "Was he?"],
        ),
        (
            "de",
            "Am 3. Oktober war z. B. Feiertag.\nDanach nicht",
            ["Am 3. Oktober war z. B. Feiertag.", "Danach nicht"],
        ),
        (
            "ja",
            "これは文です。「はい。」次の文です！",
            ["これは文です。", "「はい。」", "次の文です！"],
        ),
        ("hi", "यह एक वाक्य है। यह दूसरा है।", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("ko", "그는 학생이다. 집에 있다. 끝.", ["그는 학생이다.", "집에 있다.", "끝."]),
        ("ka", "ეს არის წიგნი. ის კარგია.", ["ეს არის წიგნი.", "ის კარგია."]),
        ("ar", "هل هذا سؤال؟ نعم هو كذلك.", ["هل هذا سؤال؟", "نعم هو كذلك."]),
        (
            "vi",  # marks beside their letters
            "Vi\u00ea\u0323c \u0111u\u031bo\u031b\u0323c. Anh a\u0302\u0301y.",
            ["Vi\u00ea\u0323c \u0111u\u031bo\u031b\u0323c.", "Anh a\u0302\u0301y."],
        ),
        (
            "th",
            "วันนี้อากาศดีมาก ฉันไปตลาด ซื้อผลไม้มาหลายอย่าง แล้ว",
            ["วันนี้อากาศดีมาก ฉันไปตลาด", "ซื้อผลไม้มาหลายอย่าง", "แล้ว"],
        ),
    ],
)
def test_text_is_cut_into_sentences(language, text, wanted):
    found = list(sentences(text, language))
    assert found == wanted and "".join("".join(found).split()) == "".join(text.split())


def test_the_filter_wants_a_letter_first_a_mark_last_and_no_repeats():
    texts = ["The cat sat on the mat.", "the CAT sat on the mat!", "1 cat sat on the mat there.",
             "The cat sat on the mat",
             "x" * (SHORTEST - 1), "A" * LONGEST + ".", "จบประโยคโดยไม่มีเครื่องหมายใด"]  # fmt: skip
    assert [
        row["id"] for row in passing("c", (("en", str(i), text) for i, text in enumerate(texts)))
    ] == ["c-en-0"]
    assert [row["text"] for row in passing("c", [("th", "0", texts[-1])])] == [texts[-1]]
