"""One HTML file of an executed notebook: opens offline, fetches nothing, runs no script."""

import re
from pathlib import Path

from xgrl.runs import records

TEMPLATE = Path(__file__).with_name("page.html.j2")
HEADING = re.compile(r'<h([23])[^>]*\bid="([^"]+)"[^>]*>(.*?)<a class="anchor-link"', re.S)
IN_A_TAG = r"""<[a-z](?:[^>"']|"[^"]*"|'[^']*')*\s"""
FETCHED = (
    rf"(?:{IN_A_TAG}(?:src|srcset|poster|data)\s*=|<link\b[^>]*\bhref\s*=|\burl\(|@import)"
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
    loader = DictLoader({"folded": TEMPLATE.read_text(encoding="utf-8")})
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
