"""What is kept on disk between runs, in one folder: archives, tables, frozen layers' output. Each
file's SHA-256 is kept beside it, and a file that no longer has it is not used.

``$XGRL_CACHE`` says where; by default it is the user's cache folder.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xgrl.runs import files
from xgrl.runs.files import cache_folder

if TYPE_CHECKING:
    import pyarrow as pa


def keep(path: Path, writer: Callable[[Path], Any]) -> None:
    """Let `writer` fill a file of the cache (see `files.write`); its SHA-256 goes beside it."""
    files.write(path, writer)
    files.write_bytes(path.with_suffix(".sha256"), files.hash_file(path).encode())


def is_kept(path: Path) -> bool:
    """Whether a file is in the cache as `keep` wrote it; that one is damaged is reported."""
    try:
        intact = files.hash_file(path).encode() == path.with_suffix(".sha256").read_bytes()
    except FileNotFoundError:
        return False
    if not intact:
        print(f"xgrl: {path} is damaged and is made anew", file=sys.stderr)
    return intact


def wrong_hash(path: Path, sha256: str) -> str:
    """The SHA-256 of a file where it is not the expected one; "" where it is.

    The file is read only if its size or modification time changed since it was last found right.
    """
    record, stat = path.with_name(f".{path.name}.verified"), path.stat()
    state = {"sha256": sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if record.exists() and json.loads(record.read_bytes()) == state:
        return ""
    if (digest := files.hash_file(path)) != sha256:
        return digest
    files.write_json(record, state)
    return ""


def cached_table(key: str, build: Callable[[], "pa.Table"]) -> "pa.Table":
    """The table stored under `key`, built and stored first where it is missing or damaged.

    key: a file name without ending; all that the table depends on is part of it. build: makes it.
    """
    import pyarrow.parquet as pq  # only jobs that read tables wait for it

    path = cache_folder() / "rows" / f"{key}.parquet"
    if not is_kept(path):
        table = build()
        keep(path, lambda temporary: pq.write_table(table, temporary))
    return pq.read_table(path)
