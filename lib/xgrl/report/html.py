"""One HTML file of an executed notebook: opens offline, has contents, fetches nothing, runs no
script.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from xgrl.runs import records

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
nav{border:1px solid #ccc;padding:.5rem 1rem;margin:1rem 0}nav ul{margin:0;padding-left:1.2rem}nav .h3{margin-left:1.2rem}
table{border-collapse:collapse;font-size:.8rem;margin:.5rem 0;display:block;overflow-x:auto}
th,td{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}thead th{border-bottom:2px solid #111}
.number{text-align:right;font-variant-numeric:tabular-nums}
img,svg{max-width:100%;height:auto}pre{overflow-x:auto;font-size:.85rem;background:#f6f6f6;padding:.5rem}
details{color:#555;font-size:.85rem}.anchor-link,.prompt{display:none}a{color:#0058a3}
"""
TEMPLATE = """{%- extends 'basic/index.html.j2' -%}
{% block input_group %}<details><summary>code</summary>{{ super() }}</details>{% endblock %}"""
FETCHED = r"""(?:\b(?:src|srcset|poster|data)\s*=|<link\b[^>]*\bhref\s*=|\burl\(|@import)\s*["']?\s*(?!data:|#)[^\s"'>)]"""
NUMBER = re.compile(
    r"[-+\u2212]?[\d.,]+(?:e[-+]?\d+)?%?|<0\.0001|nan|NaN|\u2013|not recorded|not estimable|"
)
NETWORK = re.compile(rf"{FETCHED}|<script\b|<iframe\b", re.I)


def html(executed: str | Path, output: str | Path, lead: str = "") -> Path:
    """One HTML file of an executed notebook: contents, figures inside, code folded away, nothing
    fetched from anywhere.

    Args:
        executed: notebook with outputs. output: the page. lead: a sentence to put above everything,
            such as the verdict.

    Cells tagged "navigation" (links between notebooks) are left out, and the cell of default
    parameters where papermill put the run's own after it.

    Raises:
        ValueError: the notebook was not executed, a cell of it failed, or the page would fetch
            something when opened.
    """
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    if not outputs or any(output.output_type == "error" for output in outputs):
        found = "a cell failed" if outputs else "it has no outputs"
        raise ValueError(f"{executed}: {found}; run the notebook to its end first")
    notebook.cells = [
        cell for cell in notebook.cells if "navigation" not in cell.metadata.get("tags", [])
    ]
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    if any("injected-parameters" in found for found in tags):
        notebook.cells = [
            cell
            for cell, found in zip(notebook.cells, tags, strict=True)
            if "parameters" not in found
        ]
    exporter = HTMLExporter(
        template_file="folded", extra_loaders=[DictLoader({"folded": TEMPLATE})]
    )
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body = _aligned(exporter.from_notebook_node(notebook)[0])
    headings = re.findall(r'<h([123])[^>]*\bid="([^"]+)"[^>]*>(.*?)</h\1>', body, re.S)
    headings = [
        (level, name, re.sub(r"<[^>]+>|¶", "", text).strip()) for level, name, text in headings
    ]
    title = next((text for level, _, text in headings if level == "1"), escape(Path(executed).stem))
    links = "".join(
        f'<li class="h{level}"><a href="#{name}">{text}</a></li>'
        for level, name, text in headings
        if level != "1"
    )
    opening = f"<p><strong>{escape(lead)}</strong></p>" if lead else ""
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{opening}<nav><b>Contents</b><ul>{links}</ul></nav>{body}</body></html>\n"
    )
    if found := NETWORK.search(page):
        raise ValueError(
            f"{executed}: the page would fetch something or run a script: "
            f"{page[found.start() :][:80]!r}"
        )
    return records.write_bytes(output, page.encode())


def _aligned(body: str) -> str:
    """Columns of numbers marked, so that the style sheet sets them to the right and all other text
    to the left.
    """
    from bs4 import BeautifulSoup

    page = BeautifulSoup(body, "html.parser")
    for style in page.select("div > style[scoped]"):
        style.decompose()  # pandas sets every heading to the right
    for table in page.find_all("table"):
        del table["border"]
        rows, heads = [], []
        for row in table.find_all("tr"):
            del row["style"]
            (rows if row.find("td") else heads).append(row)
        _without_counter(rows, heads)
        for column in range(max((len(row.find_all("td")) for row in rows), default=0)):
            cells = [row.find_all("td")[column] for row in rows]
            if all(NUMBER.fullmatch(cell.get_text(strip=True)) for cell in cells):
                place = column - len(rows[0].find_all("td"))
                for cell in [
                    *cells,
                    *(
                        head.find_all("th")[place]
                        for head in heads
                        if len(head.find_all("th")) >= -place
                    ),
                ]:
                    cell["class"] = ["number"]
    return str(page)


def _without_counter(rows: list, heads: list) -> None:
    """Take away an index that only counts the rows."""
    first = [row.find("th") for row in rows]
    plain = all(cell and cell.get_text(strip=True) == str(k) for k, cell in enumerate(first))
    if (
        rows
        and plain
        and all(head.find("th") and not head.find("th").get_text(strip=True) for head in heads)
    ):
        for cell in [*first, *(head.find("th") for head in heads)]:
            cell.decompose()
