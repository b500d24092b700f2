"""Upstream projects' own files in a folder of the user's: how they are found and read, by the line.

One folder serves a whole study: the files of a task are looked for in ``<folder>/<task>/`` and in
``<folder>`` itself. Everything that cannot be read as what it should be is a SourceError that names
the file, the line, what was found and what was expected. Rows are built by functions that know
nothing of files (`xgrl.tasks.rows`); `build_rows` lends them file and line for errors.
"""

import csv
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from xgrl.tasks.sources import SourceError, some, unlike

Record = dict[str, Any]
Numbered = Iterable[tuple[int, Any]]  # (line number from 1, what the line holds)
ANEW = "fetch the file anew"


def data_folder(path: str | Path) -> str | Path:
    """The folder that a study file names as ``path``, or where it names none ``$XGRL_DATA``; ""
    where neither does.
    """
    return path or os.environ.get("XGRL_DATA", "")


def find_all(root: str | Path, folders: Sequence[str], patterns: Sequence[str]) -> list[Path]:
    """The files of the first of `patterns` (glob patterns or names with ``/``, the preferred first)
    that matches any, sorted by name, [] if there are none. They are looked for in the `folders` of
    `root`, the task's own, and then in `root`, the folder that the user named.
    """
    for pattern in patterns:
        for folder in _folders(root, folders):
            if files := [path for path in folder.glob(pattern) if path.is_file()]:
                return sorted(files, key=lambda path: path.name)
    return []


def find(root: str | Path, folders: Sequence[str], names: Sequence[str], hint: str = "") -> Path:
    """The first of `names` that exists, as in `find_all`; else SourceError with what is there."""
    if files := find_all(root, folders, names):
        return files[0]
    held, (*own, top) = [], _folders(root, folders)
    for name, folder in [("the folder", top), *zip(own, own, strict=True)]:
        held.append(f"{name} holds {some(sorted(file.name for file in folder.iterdir()))}")
    looked = f"looked into {', '.join((*folders, '.'))}{hint and f'; {hint}'}"
    raise SourceError(f"{top}: {' or '.join(names)} does not exist; {'; '.join(held)}; {looked}")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line of a UTF-8 file; only line feeds end one, as in the field.

    A byte order mark and carriage returns at line ends are taken off; an empty file is refused.
    """
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty; {ANEW}")
    with open(path, "rb") as stream:
        for number, raw in enumerate(stream, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, error) from None
            yield number, line.removesuffix("\n").removesuffix("\r")


def read_columns(
    path: Path, names: Sequence[str], quoted: bool = False, hint: str = ANEW
) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line of a tab-separated file without header, as many as `names`; `hint`
    says what to do about a line with other columns. If `quoted`, Python's csv module wrote the
    fields, which puts those with a quotation mark into quotation marks.
    """
    for number, line in read_lines(path):
        fields = line.split("\t")
        if quoted:
            _, fields = next(_quoted([(number, line)], path, "\t"), (number, [""]))
        yield number, check_columns(path, number, fields, names, hint)


def check_columns(
    path: Path, number: int, fields: list[str], names: Sequence[str], hint: str = ANEW
) -> list[str]:
    """The fields of a line, as many as `names`; else a SourceError."""
    if len(fields) == len(names):
        return fields
    shown = "\t".join(fields)[:80]
    found = f"found {len(fields)} columns, expected {len(names)} ({', '.join(names)})"
    raise SourceError(f"{path}, line {number}: {found}: {shown!r}; {hint}")


def read_records(
    path: Path, required: Sequence[str], commas: bool = False, broken: Record | None = None
) -> Iterator[tuple[int, Record]]:
    """The lines of a table, as dictionaries; its header must name the columns `required`.

    Fields are separated by tabs, nothing quoted; with `commas` by these and quoted, with line ends
    inside quotation marks. `broken` stands for a line of other columns, else refused.
    """
    lines = read_lines(path)
    tabbed = ((number, line.split("\t")) for number, line in lines)
    table = _quoted(lines, path, ",") if commas else tabbed
    _, header = next(table, (1, []))
    if lacking := [name for name in required if name not in header]:
        expected = f"a header with {', '.join(lacking)}"
        raise unlike(f"{path}, line 1", expected, ", ".join(header) or "nothing")
    for number, fields in table:
        if len(fields) != len(header) and broken is not None:
            yield number, broken
        else:
            fields = check_columns(path, number, fields, header)
            yield number, dict(zip(header, fields, strict=True))


def read_jsonl(path: Path, once: bool = False) -> Iterator[tuple[int, Record]]:
    """The JSON object of each line; empty lines are passed over. If `once`, a key that stands twice
    in an object is refused; the last counts without.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where, expected = f"{path}, line {number}", "a JSON object"
        try:
            record = _parsed(line, _each_once if once else None)
        except json.JSONDecodeError as error:
            found = f"{line[:60]!r} ({error.msg}, at {error.colno})"
            raise unlike(where, expected, found, ANEW) from None
        if not isinstance(record, dict):
            raise unlike(where, expected, f"{type(record).__name__} {line[:60]!r}")
        yield number, record


def read_json(path: Path) -> Any:
    """The whole of a JSON file."""
    data = path.read_bytes()
    try:
        return _parsed(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data[: error.start].count(b"\n") + 1, error) from None
    except json.JSONDecodeError as error:
        found = f"something else ({error.msg} at column {error.colno})"
        raise unlike(f"{path}, line {error.lineno}", "JSON", found, ANEW) from None


def _each_once(pairs: list[tuple[str, Any]]) -> Record:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise json.JSONDecodeError(f"key {twice[0]!r} stands twice", "", 0)
    return dict(pairs)


def _parsed(text: str, object_of: Callable[[list], Any] | None = None) -> Any:
    """What a JSON text says; JSONDecodeError also where an escape is half a character."""
    value, escapes = json.loads(text, object_pairs_hook=object_of), text.lower()
    if "\\ud" in escapes:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ascii(error.object[error.start])[1:-1]
            at = escapes.find(half)
            raise json.JSONDecodeError(f"{half} is half a character", text, at) from None
    return value


def read_blocks(lines: Numbered) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines in blocks that empty lines separate, as in CoNLL files: a sentence each."""
    for filled, block in itertools.groupby(lines, key=lambda line: bool(line[1].strip())):
        if filled:
            yield list(block)


def build_rows(
    path: Path, numbered: Numbered, build: Callable[[Any, int], Record]
) -> Iterator[Record]:
    """``build(what, line number)`` of everything that was read from `path`; KeyError, TypeError,
    ValueError, IndexError and AttributeError of it are the file's fault and become a SourceError.
    """
    for number, what in numbered:
        try:
            row = build(what, number)
        except KeyError as error:
            held = f"; found {', '.join(map(str, what))}" if isinstance(what, dict) else ""
            raise SourceError(f"{path}, line {number}: expected {error.args[0]!r}{held}") from error
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            found = f"found something unexpected in {str(what)[:120]} ({error})"
            raise SourceError(f"{path}, line {number}: {found}") from error
        yield row


def withheld(names: Sequence[str]) -> str:
    """The hint for a test file of XTREME's layout."""
    todo = f"add the upstream file, {' or '.join(names)}"
    return f"XTREME's script takes the answers out of test files: {todo}"


def _quoted(
    lines: Iterable[tuple[int, str]], path: Path, separator: str
) -> Iterator[tuple[int, list[str]]]:
    """Last line number and fields of each record of a table that Python's csv module wrote."""
    numbers = deque(maxlen=1)  # of the line that was read last
    texts = (numbers.append(number) or f"{line}\n" for number, line in lines)
    try:
        for fields in csv.reader(texts, delimiter=separator):
            yield numbers[-1], fields
    except csv.Error as error:
        what = f"not a table with quoted fields ({error}); {ANEW}"
        raise SourceError(f"{path}, line {numbers[-1]}: {what}") from None


def _not_utf8(path: Path, number: int, error: UnicodeDecodeError) -> SourceError:
    found = f"the byte 0x{error.object[error.start]:02x} ({error.reason})"
    return unlike(f"{path}, line {number}", "UTF-8", found, f"convert it or {ANEW}")


def _folders(root: str | Path, names: Sequence[str]) -> list[Path]:
    """The folders to look into, that exist, and last `root`."""
    return [*(folder for name in names if (folder := Path(root) / name).is_dir()), Path(root)]
