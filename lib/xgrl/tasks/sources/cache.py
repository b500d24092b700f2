"""What is kept on disk between runs: archives, their unpacked members, and prepared rows, in one
folder.

``$XGRL_CACHE`` says where; by default it is the user's cache folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq

from xgrl.runs import records


def cache_folder() -> Path:
    """The cache: ``$XGRL_CACHE``, or the user's cache folder for xgrl."""
    return Path(os.environ.get("XGRL_CACHE") or platformdirs.user_cache_dir("xgrl"))


def cached_table(key: str, build: Callable[[], pa.Table]) -> pa.Table:
    """The table stored under `key`, built and stored first if it is not there, or is not what was
    stored (by SHA-256).

    Args:
        key: a file name without ending; everything the table depends on must be part of it.
        build: makes the table.
    """
    path = cache_folder() / "rows" / f"{key}.parquet"
    seal = path.with_suffix(".sha256")
    if path.exists():
        if seal.exists() and records.hash_file(path) == seal.read_text(errors="replace"):
            return pq.read_table(path)
        if seal.exists():
            print(f"xgrl: {path} is damaged and is built anew", file=sys.stderr)
    table = build()
    records.write(path, lambda temporary: pq.write_table(table, temporary))
    records.write_bytes(seal, records.hash_file(path).encode())
    return pq.read_table(path)
