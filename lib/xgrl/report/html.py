"""One HTML file of an executed notebook: opens offline, fetches nothing, runs no script."""

import re
from pathlib import Path

from xgrl.runs import records

TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{% block input_group %}<details><summary>code</summary>{{ super() }}</details>{% endblock %}
{% block header %}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ resources.title | e }}</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
body{color:#111;background:#fff}a{color:#0058a3}.anchor-link,.prompt{display:none}
nav{border:1px solid #ccc;padding:.5rem 1rem;margin:1rem 0}nav ul{margin:0;padding-left:1.2rem}
table{border-collapse:collapse;font-size:.8rem;margin:.5rem 0;display:block;overflow-x:auto}
th,td{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
thead th{border-bottom:2px solid #111}td{font-variant-numeric:tabular-nums}
img,svg{max-width:100%;height:auto}pre,details{font-size:.85rem}details{color:#555}
pre{overflow-x:auto;background:#f6f6f6;padding:.5rem}nav .h3{margin-left:1.2rem}
</style></head><body>{% if resources.lead %}
<p><strong>{{ resources.lead | e }}</strong></p>{% endif %}
<nav><b>Contents</b><ul></ul></nav>{% endblock %}
{% block footer %}</body></html>
{% endblock %}"""
HEADING = re.compile(r'<h([23])[^>]*\bid="([^"]+)"[^>]*>(.*?)<a class="anchor-link"', re.S)
FETCHED = (
    r"(?:\b(?:src|srcset|poster|data)\s*=|<link\b[^>]*\bhref\s*=|\burl\(|@import)"
    r"""\s*["']?\s*(?!data:|#)[^\s"'>)]"""
)
NETWORK = re.compile(rf"{FETCHED}|<script\b|<iframe\b", re.I)


def html(executed: str | Path, output: str | Path, lead: str = "") -> Path:
    """One HTML file of an executed notebook: contents, figures inside, code folded away.

    executed: notebook with outputs. output: the page. lead: a sentence to put above everything,
    such as the verdict. Left out are cells tagged "navigation" (links between notebooks), the cell
    of default parameters where papermill put the run's own after it, and outputs that show texts.
    Raises ValueError where the notebook was not executed, a cell failed, or the page would fetch
    something when opened.
    """
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import TagRemovePreprocessor

    notebook = nbformat.read(executed, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    if not outputs or any(output.output_type == "error" for output in outputs):
        found = "a cell failed" if outputs else "it has no outputs"
        raise ValueError(f"{executed}: {found}; run the notebook to its end first")
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    left_out = {"navigation"} | ({"parameters"} if "injected-parameters" in tags else set())
    loader = DictLoader({"folded": TEMPLATE})
    exporter = HTMLExporter(template_file="folded", extra_loaders=[loader])
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    removed = {"remove_cell_tags": left_out, "remove_all_outputs_tags": {records.SHOWS_TEXTS}}
    remover = TagRemovePreprocessor(**removed, enabled=True)
    exporter.register_preprocessor(remover, enabled=True)
    sources = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.+)$", sources, re.M)
    title = heading[1] if heading else Path(executed).stem
    page, _ = exporter.from_notebook_node(notebook, {"title": title, "lead": lead})
    links = ""
    for level, name, text in HEADING.findall(page):
        links += f'<li class="h{level}"><a href="#{name}">{re.sub("<[^>]+>", "", text)}</a></li>'
    page = page.replace("<ul></ul>", f"<ul>{links}</ul>", 1)
    if fetched := NETWORK.search(page):
        place = page[fetched.start() :][:80]
        raise ValueError(f"{executed}: the page would fetch something or run a script: {place!r}")
    return records.write_bytes(output, page.encode())
