"""Progress: what is watched stays what it was, the last line is the same in every run, nothing is
shown outside a notebook.
"""

import pytest

from xgrl.runs import progress


class Handle:
    """What IPython's `display` gives back; keeps the lines."""

    def __init__(self):
        self.lines = []

    def update(self, content, raw):
        self.lines.append(content["text/plain"])


@pytest.fixture
def lines(monkeypatch):
    handle = Handle()
    monkeypatch.setattr(progress, "_in_kernel", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: handle)
    return handle.lines


def test_items_are_the_same_by_index_and_in_a_loop(lines):
    items = ["a", "b", "c"]
    watched = progress.watch(items, "item")
    assert list(watched) == items and [watched[i] for i in range(len(watched))] == items
    assert lines[0] == "item 0 of 3" and lines[-1] == "item 3 of 3"


def test_the_last_line_has_no_time_and_between_are_at_most_two_a_second(lines, monkeypatch):
    clock = iter(range(0, 1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock) / 10)
    line = progress.ProgressLine("training step", 100)
    for done in range(1, 101):
        line.update(done)
    assert lines[-1] == "training step 100 of 100"
    assert 20 <= len(lines) <= 23 and "about" in lines[5] and lines[5].endswith(" s left")


def test_nothing_is_shown_outside_a_notebook_and_for_nothing(capsys, lines, monkeypatch):
    assert list(progress.watch([], "item")) == [] and lines == []
    monkeypatch.setattr(progress, "_in_kernel", lambda: False)
    assert list(progress.watch("ab", "item")) == ["a", "b"] and lines == []
    assert capsys.readouterr().out == ""
