"""Files that are written whole or not at all, and the folder of those that are kept between runs.

Everything is written to a temporary name in the same folder, synced, and moved into place with
`os.replace`, which is atomic on one file system.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs


def cache_folder() -> Path:
    """The cache: ``$XGRL_CACHE``, or the user's cache folder for xgrl."""
    return Path(os.environ.get("XGRL_CACHE") or platformdirs.user_cache_dir("xgrl"))


def write(path: str | Path, writer: Callable[[Path], Any]) -> Path:
    """Let `writer` fill a temporary file, sync it and move it to `path`, which is returned."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        writer(Path(name))
        with open(name, "rb") as f:
            os.fsync(f.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def write_bytes(path: str | Path, data: bytes) -> Path:
    """`write` for bytes at hand."""
    return write(path, lambda p: p.write_bytes(data))


def write_json(path: str | Path, value: Any) -> Path:
    """Readable JSON with a final newline; ValueError for NaN and infinity, which are not JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=plain_json)
    return write_bytes(path, f"{text}\n".encode())


def replace_folder(path: str | Path, writer: Callable[[Path], Any]) -> Path:
    """Let `writer` fill a temporary folder and move it to `path`, replacing an older one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        writer(temporary)
        os.chmod(temporary, 0o755)
        # taken away whole: killed while it is being removed, it would be there in part
        if path.exists():
            old = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain_json(value: Any) -> Any:
    """What JSON takes in place of a numpy value or a path; TypeError for anything else."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()  # of a numpy scalar: the plain one
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
