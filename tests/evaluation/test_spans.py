"""Answers as spans: what was cut out of a context comes back from it, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xgrl.evaluation.spans import span_of, text_at

# letters outside the first plane, marks that combine, blanks that are not ASCII's
CONTEXTS = st.text("aé \N{COMBINING ACUTE ACCENT}\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\n字𐌀:1")


@pytest.mark.fuzz
@given(CONTEXTS, st.integers(0, 20), st.integers(0, 20))
def test_a_span_is_what_was_cut_out_without_blanks_around_it(context, start, end):
    span = span_of(context, start, end)
    assert text_at(context, span) == context[start:end].strip()
    assert (span == "") == (context[start:end].strip() == "")


@pytest.mark.parametrize(
    ("span", "text"),
    [("", ""), ("0:3", "Ann"), ("8:11", "Bob"), ("12:12", ""), ("0:12", "Ann met Bob.")],
)
def test_the_words_of_a_span(span, text):
    assert text_at("Ann met Bob.", span) == text


@pytest.mark.parametrize(
    "span", ["Ann", "0:13", "3:2", "-1:2", "0:3 8:11", "0:3\n", "1.0:2", "٠:٣"]
)
def test_what_is_no_span_of_the_context_is_refused(span):
    with pytest.raises(ValueError, match="expected start:end, 12 at most") as error:
        text_at("Ann met Bob.", span)
    assert repr(span) in str(error.value)
