"""The page: contents, figures inside, nothing fetched when it is opened."""

import re

import nbformat
import pandas as pd
import pytest

from small_report import HEAD, TEXT, cell, write_notebook
from xgrl.report.html import html
from xgrl.report.tables import formatted


def test_page_has_contents_figures_inside_and_fetches_nothing(tmp_path):
    picture = {"image/png": "iVBORw0KGgo="}
    table = {"text/html": pd.DataFrame({"a": [1]}).to_html(), "text/plain": "a"}
    path = write_notebook(
        tmp_path,
        HEAD,
        cell("print('hello')", "stream", **TEXT),
        cell("figure", data=picture),
        cell("frame", data=table),
    )
    page = html(path, tmp_path / "report.html", lead="verdict: a < b").read_text()
    links = re.findall(r'<li class="h2"><a href="#([^"]+)">', page)
    assert len(links) == 2 and all(f'id="{name}"' in page for name in links)
    assert "<title>A title &amp; more</title>" in page
    assert "verdict: a &lt; b" in page.split("<nav>")[0]
    assert "data:image/png;base64,iVBORw0KGgo=" in page and "hello &lt;b&gt;" in page
    assert page.count("<details>") == 3 and "<script" not in page
    # a link is no fetch
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page) == ["https://example.org"]


def test_columns_of_numbers_are_set_right_and_text_left(tmp_path):
    frame = pd.DataFrame({"name": ["a", "<b"], "n": [1, 2], "p": [1e-9, 0.3], "mixed": [1, "x"]})
    by_two = pd.DataFrame({"k": ["u", "u"], "l": ["v", "w"], "m": [1.5, 2.5]}).set_index(["k", "l"])
    tables = [formatted(each)._repr_html_() for each in (frame, by_two)]
    cells = [cell("x", data={"text/html": table}) for table in tables]
    page = html(write_notebook(tmp_path, HEAD, *cells), tmp_path / "report.html").read_text()
    for table, sides in (
        (tables[0], ["left", "right", "right", "left"]),
        (tables[1], ["left", "left", "right"]),
    ):
        name = re.search(r'<table id="(\w+)"', table)[1]
        assert f'<table id="{name}"' in page and f"#{name} .col0" in page
        for k, side in enumerate(sides):
            rule = re.search(rf"([^}}]*#{name} \.col{k}\b[^{{]*){{\s*text-align: (\w+)", table)
            assert rule[2] == side, (k, table)
    assert "&lt;0.0001" in tables[0] and "&lt;b" in tables[0] and ">0</th>" not in tables[0]


def test_outputs_that_show_texts_are_left_out(tmp_path):
    shown, hidden = (cell(name, "stream", name="stdout", text=f"of {name}") for name in "ab")
    hidden.metadata["tags"] = ["shows-texts"]
    page = html(write_notebook(tmp_path, HEAD, shown, hidden), tmp_path / "report.html").read_text()
    assert "of a" in page and "of b" not in page and page.count("<details>") == 2


def test_default_parameters_give_way_to_those_of_the_run(tmp_path):
    default, own = (cell(f"study = {name!r}", "stream", **TEXT) for name in ("smoke", "laptop"))
    default.metadata["tags"], own.metadata["tags"] = ["parameters"], ["injected-parameters"]
    assert (
        "smoke"
        in html(write_notebook(tmp_path, HEAD, default), tmp_path / "report.html").read_text()
    )
    page = html(write_notebook(tmp_path, HEAD, default, own), tmp_path / "report.html").read_text()
    assert "laptop" in page and "smoke" not in page


@pytest.mark.parametrize(
    "content",
    [
        '<script>alert(1)</script>',
        '<img src="https://example.org/a.png">',
        "<img src=//example.org/a.png>",
        '<img src="figures/a.png">',
        '<img alt="a > b" src="figures/a.png">',
        '<link rel="stylesheet" href="https://example.org/a.css">',
        "<style>@import 'https://example.org/a.css'</style>",
        "<style>body{background:url(https://example.org/a.png)}</style>",
        '<iframe src="x"></iframe>',
    ],
)  # fmt: skip
def test_page_that_would_fetch_something_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match="would fetch something or run a script"):
        html(
            write_notebook(tmp_path, HEAD, cell("x", data={"text/html": content})),
            tmp_path / "report.html",
        )
    assert not (tmp_path / "report.html").exists()


def test_a_page_may_speak_of_data_and_sources(tmp_path):
    content = {"text/html": "<p title='it'>the rows of <code>data = rows</code>, src = file</p>"}
    page = html(write_notebook(tmp_path, HEAD, cell("x", data=content)), tmp_path / "report.html")
    assert "<code>data = rows</code>" in page.read_text()


def test_page_of_a_notebook_that_failed_or_never_ran_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it has no outputs"):
        html(
            write_notebook(tmp_path, HEAD, nbformat.v4.new_code_cell("1")), tmp_path / "report.html"
        )
    error = cell("1 / 0", "error", ename="ZeroDivisionError", evalue="", traceback=[])
    with pytest.raises(ValueError, match="a cell failed"):
        html(write_notebook(tmp_path, HEAD, error), tmp_path / "report.html")
