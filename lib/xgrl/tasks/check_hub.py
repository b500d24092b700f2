"""Two rows of every task and split of the hub, as a table: is each data set still where and what?

``python -m xgrl.tasks.check_hub [task ...]`` (`make check-hub`); streamed; exit code 1: failures.
"""

import functools
import itertools
import sys
from collections.abc import Sequence

import pandas as pd

from xgrl.tasks import find_task
from xgrl.tasks.formats import validate
from xgrl.tasks.hub_datasets import HUB, read, sources
from xgrl.tasks.rows import Request
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.hub import Part, explained, load_part

ROWS = 2
WIDTH = 100  # characters of a row that are shown
FOREIGN = "de"  # the language looked at where a task has it, its first foreign one elsewhere


def check_hub(tasks: Sequence[str] = tuple(HUB)) -> pd.DataFrame:
    """One line a part: columns task, split, hub (id, config, split), columns found, rows shown,
    error ("" if there is none). Of `tasks`, keys of `HUB`, train and dev are looked at in English,
    other splits in one foreign language.
    """
    first, lines = functools.cache(_first), []
    for name in tasks:
        task = find_task(name)
        translations = task.translated("hub")
        for split in (*task.splits, *(["translated"] if translations else [])):
            codes = translations if split == "translated" else task.languages
            foreign = sorted((c for c in codes if c != "en"), key=lambda code: code != FOREIGN)
            language = "en" if split in ("train", "dev") else foreign[0]
            for source in sources(Request(name, language, split)):
                line = {"task": name, "split": split, "hub": str(source.part)}
                line |= {"columns": "", "rows": "", "error": ""}
                try:
                    columns, features, records = first(source.part)
                    batch = {column: [record[column] for record in records] for column in columns}
                    rows = list(read(source, features, [batch]))
                    shown = (" ".join(" / ".join(map(str, row.values())).split()) for row in rows)
                    line["columns"] = ", ".join(columns)
                    line["rows"] = " | ".join(text[:WIDTH] for text in shown)
                    checked = validate(rows, task.schema(split), task.labels, task.pairs)
                    if not len(checked.table):
                        wrong = f"none of its first rows is as it should be: {checked.dropped}"
                        raise SourceError(f"{source.part}: {wrong}")
                except SourceError as error:
                    line["error"] = " ".join(str(error).split())
                lines.append(line)
    return pd.DataFrame(lines)


def _first(part: Part) -> tuple[list[str], object, list[dict]]:
    """Columns, features and the first rows of a part."""
    data = load_part(part, streaming=True)
    with explained(part):
        records = list(itertools.islice(data, ROWS))
    if not records:
        raise SourceError(f"{part}: no rows")
    return list(records[0]), data.features, records


if __name__ == "__main__":
    table = check_hub(sys.argv[1:] or tuple(HUB))
    for line in table.to_dict("records"):
        result = f"{line['columns']}: {line['rows']}"
        result = f"FAILED: {line['error']}" if line["error"] else result
        print(f"{line['task']:14}{line['split']:11}{line['hub']}\n    {result}")
    failed = int((table["error"] != "").sum())
    print(f"{len(table)} parts, {failed} failed")
    sys.exit(1 if failed else 0)
