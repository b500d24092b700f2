"""The upstream projects' own files, in a folder that the user names."""

from __future__ import annotations

from pathlib import Path

from xgrl.sources.packages import SourceError


def read_lines(folder: str | Path, name: str) -> list[str]:
    """The lines of one UTF-8 text file of a folder, without their ends.

    Raises:
        SourceError: there is no such file; the message lists what is there.
    """
    path = Path(folder) / name
    if not path.is_file():
        there = sorted(file.name for file in Path(folder).iterdir())
        raise SourceError(
            f"{path} does not exist; the folder holds {', '.join(there[:20]) or 'nothing'}{' ...' if len(there) > 20 else ''}"
        )
    with open(path, encoding="utf-8", newline="\n") as lines:  # only line feeds end a line, as for every tool of the field
        return [line.removesuffix("\n") for line in lines]
