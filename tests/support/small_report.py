"""An executed notebook and a published analysis, as small as the tests of the report need them."""

import time

import nbformat
import pandas as pd

from xgrl.runs import records

HEAD = nbformat.v4.new_markdown_cell(
    "# A title & more\n\n## 1. First part\ntext with a [link](https://example.org)\n\n## 2. "
    "Second\n"
)
TEXT = {"name": "stdout", "text": "hello <b>\n"}


def cell(source: str, kind: str = "display_data", **fields):
    """A code cell with one output."""
    return nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output(kind, **fields)])


def write_notebook(folder, *cells):
    """`folder`/05_analysis.ipynb with these cells; its path."""
    path = folder / "05_analysis.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
    return path


def write_analysis(folder, change=0.0, drop=0, verdict="superior", theta=10.0):
    """`folder`/analysis with results.csv of two runs and summary.json; the folder."""
    frame = pd.DataFrame({
        "study": "s", "intermediate": "i", "arm": ["none", "dann"], "target": "t", "seed": 0,
        "language": "de", "metric": "accuracy", "score": [50.0, 60.0 + change], "n": 10,
    })  # fmt: skip
    analysis = folder / "analysis"
    analysis.mkdir(parents=True, exist_ok=True)
    frame.iloc[drop:].to_csv(analysis / "results.csv", index=False)
    row = {"target": "all targets", "theta": theta, "low": 9.0, "high": None, "p": 0.01}
    summary = {"study": "s", "table": [row], "comparison": {"verdict": verdict}}
    records.write_json(analysis / "summary.json", summary)
    return folder


def finished(folder, predictions=b"one", phase="target", seed=0):
    """A finished run with these predictions; its folder."""
    records.write_bytes(folder / "predictions.parquet", predictions)
    keys = {"study": "s", "seed": seed}
    records.finish(folder, phase=phase, parameters=keys, metrics={}, started=time.monotonic())
    return folder
