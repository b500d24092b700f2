"""YAML that says what one reads, and study files, merged as Snakemake merges them.

Of two equal keys YAML takes the last, 0100 is 64 to it and 1:30:00 is 5400, all without a word:
here they are refused, with the line. Needs nothing but PyYAML: the Makefile calls it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def parse(text: str | bytes, what: object = "") -> Any:
    """What a YAML document called `what` holds; ValueError for all that is wrong in it."""
    name = f"{what}: " if what else ""
    try:
        wrong = list(_misread(yaml.compose(text, yaml.SafeLoader), set()))
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}not YAML ({' '.join(str(error).split())})") from None
    if wrong:
        raise ValueError(f"{name}{'; '.join(wrong)}")
    return found


def _misread(node: yaml.Node | None, seen: set[int]) -> Iterator[str]:
    """A sentence for each key given twice and each number that is another one to YAML."""
    if node is None or id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        text, line = node.value.lstrip("+-"), node.start_mark.line + 1
        octal = text[:1] == "0" < text and text.replace("_", "").isdigit()
        if node.tag in NUMBERS and (octal or ":" in text):
            todo = "write a number in plain digits, a text in quotes"
            yield f"line {line}: YAML reads {node.value} as {yaml.safe_load(node.value)}; {todo}"
        return
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(item,) for item in node.value]
    keys: dict[Any, yaml.Node] = {}
    for key, *value in pairs:
        if value and isinstance(key, yaml.ScalarNode):
            first = keys.setdefault((key.tag, key.value), key)
            if first is not key:
                lines = f"in line {first.start_mark.line + 1} and line {key.start_mark.line + 1}"
                yield f"key {key.value!r} stands twice, {lines}; leave one of them"
        for child in (key, *value):
            yield from _misread(child, seen)


def read_study(*files: str | Path) -> dict[str, Any]:
    """Study files, each merged into those before it.

    Raises ValueError, naming the file: not YAML or not strict, no names and values, or a ``study``
    that is not the file's name (a copy would write over the outputs of what it was copied from).
    """
    merged: dict[str, Any] = {}
    for path in map(Path, files):
        values = parse(path.read_bytes(), path)
        if not isinstance(values, dict | None):
            raise ValueError(f"{path}: expected names and values, found {values!r:.80}")
        study = (values or {}).get("study")
        if isinstance(study, str) and study != path.stem:
            todo = f"write study: {path.stem}, or call the file {study}.yaml"
            raise ValueError(f"{path}: study is {study!r}, but must be the file's name; {todo}")
        _merge(merged, values or {})
    return merged


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def find_study(study: str, folder: str | Path = "params") -> dict[str, Any]:
    """The merged files of a study by its name; empty where it has no file of its own."""
    own = Path(folder) / f"{study}.yaml"
    return read_study(own.with_name("base.yaml"), own) if own.exists() else {}
