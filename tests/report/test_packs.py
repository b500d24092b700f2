"""Packs: what is finished goes in, what is verified comes out, and nothing else."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pandas as pd
import pytest

from simulate import simulate
from xgrl.execution import check_data
from xgrl.execution.grid import parameters_of_runs
from xgrl.report import cli, load_study, packs
from xgrl.runs import params, records
from xgrl.runs.study_files import find_study

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {
    "intent": (("de", "es", "fr", "ru"), 20, 45.0, False, "accuracy"),
    "emoji-names": (("de", "es", "fr", "ja", "ru"), 20, 30.0, True, "bitext"),
}
DESIGN = find_study("smoke", ROOT / "params")
RUNS = parameters_of_runs(params.load_study(DESIGN))
CONTENTS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("encoder", "texts")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The smoke study as its jobs leave it, with simulated scores."""
    outputs = tmp_path_factory.mktemp("packs")
    folder = simulate(outputs, "smoke", seeds=(0, 1), targets=TARGETS)
    for path in folder.glob("*/*/*/seed-*"):
        if str(path.relative_to(folder)) not in RUNS:
            shutil.rmtree(path)
    prepared = folder / "prepared"
    for part, text in CONTENTS.items():
        records.write_bytes(prepared / "contents" / f"{part}.sha256", text.encode())
    (prepared / "data_card.csv").write_text("task\nintent\n")
    inputs = {f"prepared/{part}": text for part, text in CONTENTS.items()}
    for name, job in RUNS.items():
        path, phase = folder / name, name.split("/")[0]
        phase = "prepare" if phase == "prepared" else phase
        metrics = {"contents": CONTENTS}
        if phase != "prepare":
            metrics = json.loads((path / "run.json").read_bytes())["metrics"]
            (path / "run.json").unlink()
        if phase == "intermediate":
            records.write_bytes(path / "checkpoint/model.safetensors", name.encode())
        (path / "0_log.ipynb").write_text("{}")
        about = {"parameters": job, "metrics": metrics, "started": time.monotonic() - 1}
        records.finish(path, phase=phase, inputs=inputs if phase != "prepare" else {}, **about)
    return folder


@pytest.fixture
def packed(whole, tmp_path) -> Path:
    """A copy of the study with its packs."""
    folder = shutil.copytree(whole, tmp_path / "there" / "smoke")
    packs.pack(folder, DESIGN)
    return folder


@pytest.fixture
def here(tmp_path) -> Path:
    """Where the study is not yet."""
    return tmp_path / "here" / "smoke"


def of(folder: Path, *parts: str) -> list[Path]:
    """Packs of a study: of these parts, or all."""
    if parts:
        return [folder / "packs" / packs.file_name(part) for part in parts]
    return sorted((folder / "packs").iterdir())


def unpack(paths, folder: Path) -> list[str]:
    return list(packs.unpack(paths, folder, DESIGN))


def refused(paths, folder: Path, match: str) -> None:
    """Refused, and nothing of it is kept."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=match):
        unpack(paths, folder)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert after == before and not list(folder.glob("unpacked/.*"))


def change(folder: Path, **keys) -> None:
    """Another value of a record, under a seal that is right."""
    record = json.loads((folder / "run.json").read_bytes()) | keys
    records.write_json(folder / "run.json", record | {"sha256": records._seal(record)})


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def write(path: Path, files: dict[str, bytes], *further: tarfile.TarInfo, manifest=True) -> Path:
    """A pack of these files, with a manifest that agrees."""
    stream = io.BytesIO()
    if manifest:
        old = json.loads(files[packs.MANIFEST])
        own = {n: hashlib.sha256(d).hexdigest() for n, d in files.items() if n != packs.MANIFEST}
        files = files | {packs.MANIFEST: json.dumps(old | {"files": own}).encode()}
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in further:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    path.write_bytes(gzip.compress(stream.getvalue()))
    return path


def test_a_pack_holds_tables_and_records_of_one_checkpoint_and_nothing_else(packed):
    files = members(of(packed, "sarcasm.dann:0")[0])
    manifest = json.loads(files.pop(packs.MANIFEST))
    assert manifest["study"] == "smoke" and manifest["part"] == "sarcasm.dann:0"
    runs = {
        "intermediate/sarcasm/dann/seed-0": {"curves.csv"},
        "target/intent/sarcasm.dann/seed-0": {"predictions.parquet"},
        "target/emoji-names/sarcasm.dann/seed-0": {"predictions.parquet"},
        "probe/sarcasm/dann/seed-0": {"layers.csv", "map.csv", "parallel.csv"},
        "prepared": {"languages.csv", "data_card.csv"}
        | {f"contents/{part}.sha256" for part in CONTENTS},
    }
    expected = {f"{name}/{file}" for name, own in runs.items() for file in own | {"run.json"}}
    assert set(files) == expected == set(manifest["files"])
    assert all((packed / name).read_bytes() == data for name, data in files.items())
    names = {packs.file_name(packs.part_of(job)) for job in RUNS.values() if "seed" in job}
    assert {path.name for path in of(packed)} == names and "none.seed-0.tar.gz" in names


def test_the_same_content_is_the_same_file_and_written_once(packed):
    before = {path: path.read_bytes() for path in of(packed)}
    times = [path.stat().st_mtime_ns for path in before]
    said, large = packs.pack(packed, DESIGN)
    assert [path.stat().st_mtime_ns for path in before] == times and not large
    assert len(said) == len(before) and all(line.endswith("bytes, as before") for line in said)
    (path := of(packed)[0]).write_bytes(b"half")
    of(packed)[1].unlink()
    packs.pack(packed, DESIGN)
    assert {path: path.read_bytes() for path in of(packed)} == before and path in before


def test_what_is_not_complete_is_left_out_by_name(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "smoke")
    (folder / "target/intent/sarcasm.dann/seed-0/run.json").unlink()
    for path in folder.glob("*/*/none/seed-*/run.json"):
        path.unlink()
    said, _ = packs.pack(folder, DESIGN)
    missing = "sarcasm.dann:0: 1 of 4 runs missing: target/intent/sarcasm.dann/seed-0"
    assert said[-2:] == [
        f"left out: {missing}",
        "left out: 2 of 12 parts have no runs: none:0, none:1",
    ]
    assert len(of(folder)) == 9 and not of(folder, "sarcasm.dann:0")[0].exists()


def test_runs_of_other_data_than_01_s_and_damaged_runs_are_not_packed(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "smoke")
    change(folder / "probe/sarcasm/dann/seed-0", inputs={"prepared/texts": "0" * 64})
    said, _ = packs.pack(folder, DESIGN)
    assert any("sarcasm.dann:0: made from other data than 01's: probe" in line for line in said)
    (folder / "target/intent/none/seed-0/predictions.parquet").write_bytes(b"flipped")
    with pytest.raises(ValueError, match=r"none/seed-0/predictions\.parquet is damaged"):
        packs.pack(folder, DESIGN)


def test_a_pack_that_is_too_large_is_written_and_said_with_its_files(packed, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(packs, "LARGEST", 1000)
    assert cli.main(["pack", str(packed)]) == 1
    said = capsys.readouterr().out
    assert "none.seed-0.tar.gz has more than 1,000 bytes; largest, unpacked: " in said
    assert "target/intent/none/seed-0/predictions.parquet " in said


def test_what_is_unpacked_is_analysed_as_if_it_had_been_done_here(packed, here):
    said = unpack(of(packed), here)
    assert len(said) == 12 and said[0].endswith("none.seed-0.tar.gz: 2 runs unpacked")
    one, other = (load_study.collect(folder, DESIGN) for folder in (packed, here))
    assert one.audit.ok.all() and other.audit.equals(one.audit)
    for name in ("runs", "curves", "predictions", "probes", "maps", "parallel", "languages"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    marker = json.loads((here / "intermediate/sarcasm/dann/seed-0/unpacked.json").read_bytes())
    (pack,) = of(packed, "sarcasm.dann:0")
    assert marker == {
        "pack": pack.name,
        "sha256": records.hash_file(pack),
        "left_out": ["checkpoint/model.safetensors"],
    }
    assert not (here / "prepared").exists() and not list(here.rglob("*.safetensors"))
    again = unpack(of(packed), here)
    assert again[0].endswith(": 0 runs unpacked, 2 were there with the same results")
    packs.pack(here, DESIGN)  # the same packs, from the packs
    assert [path.read_bytes() for path in of(here)] == [path.read_bytes() for path in of(packed)]


def test_an_interrupted_call_is_finished_by_the_next(packed, here, monkeypatch):
    calls, replace = [], records.replace_folder

    def interrupted(path, writer):
        calls.append(path)
        if len(calls) == 4:
            (path.parent / ".half").mkdir(parents=True)
            raise KeyboardInterrupt
        return replace(path, writer)

    monkeypatch.setattr(records, "replace_folder", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(of(packed), here)
    finished = [path for path in here.glob("*/*/*/seed-*") if (path / "run.json").exists()]
    assert len(finished) == 2 and all(records.is_unpacked(path) for path in finished)
    assert not list(here.glob("unpacked/.*"))
    monkeypatch.setattr(records, "replace_folder", replace)
    unpack(of(packed), here)
    assert load_study.collect(here, DESIGN).audit.ok.all()


def test_what_a_killed_run_left_gives_way_to_the_whole_one(packed, here):
    half = here / "target/intent/none/seed-0"
    half.mkdir(parents=True)
    (half / "predictions.parquet").write_bytes(b"half")
    unpack(of(packed, "none:0"), here)
    records.verify_hashes(half)


SPARSE = tarfile.TarInfo("target/x.csv")
SPARSE.type = tarfile.GNUTYPE_SPARSE
LINK = tarfile.TarInfo("prepared/languages2.csv")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "/etc/passwd"
HARD = tarfile.TarInfo("prepared/hard.csv")
HARD.type, HARD.linkname = tarfile.LNKTYPE, "../../outside"
DEVICE = tarfile.TarInfo("prepared/null")
DEVICE.type = tarfile.CHRTYPE


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-400]), "cut off, or not a pack"),
        (lambda p: p.write_bytes(b"PK\x03\x04"), "cut off, or not a pack"),
        (lambda p: p.write_bytes(gzip.compress(b"no tar" * 200)), "cut off, or not a pack"),
        (
            lambda p: p.write_bytes(gzip.compress(bytes(packs.MOST + 2))),
            "more than 64,000,000 byte",
        ),
        (lambda p: p.unlink(), "no such file"),
        (lambda p: write(p, members(p) | {"../x/run.json": b"{}"}), "'../x/run.json': not a name"),
        (lambda p: write(p, members(p) | {"/tmp/x.csv": b""}), "'/tmp/x.csv': not a name"),
        (lambda p: write(p, members(p) | {"probe/../../x": b""}), "not a name of a run's file"),
        (lambda p: write(p, members(p) | {"a\\..\\b": b""}), "not a name of a run's file"),
        (lambda p: write(p, members(p), LINK), "'prepared/languages2.csv' is not a plain file"),
        (lambda p: write(p, members(p), HARD), "'prepared/hard.csv' is not a plain file"),
        (lambda p: write(p, members(p), DEVICE), "'prepared/null' is not a plain file"),
        (lambda p: write(p, members(p), SPARSE), "'target/x.csv' is not a plain file"),
        (lambda p: write(p, members(p), tarfile.TarInfo("prepared/run.json")), "or there twice"),
        (lambda p: write(p, members(p), tarfile.TarInfo("a.txt")), "than its manifest says: a.txt"),
        (lambda p: write(p, members(p) | {"prepared/rows.parquet": b""}), "that no run of a pack"),
        (lambda p: write(p, members(p) | {"probe/model.safetensors": b""}), "that no run of a pac"),
        (lambda p: write(p, {packs.MANIFEST: b"[]"}, manifest=False), "no manifest.json of format"),
        (
            lambda p: write(p, {packs.MANIFEST: b"[" * 9999}, manifest=False),
            "maximum recursion depth",
        ),
        (lambda p: without(p, "none/seed-0/predictions.parquet"), "predictions.parquet: not there"),
        (lambda p: without(p, "prepared/run.json"), "files that no run of a pack has: prepared"),
        (lambda p: other(p, "predictions.parquet", b"other"), "not the sha256 that its run record"),
        (lambda p: other(p, "intent/none/seed-0/run.json", b"{}"), "schema None"),
        (lambda p: other(p, "intent/none/seed-0/run.json", b"\xff"), "not readable as JSON"),
        (lambda p: lifted(p, "intent/none/seed-0/run.json"), "damaged: its own sha256 is another"),
        (
            lambda p: write(p, members(p) | {"probe": b""} | {"probe/a.csv": b""}),
            "cannot be written",
        ),
        (lambda p: moved(p), "none/seed-9 holds the run of target/.*/none/seed-0, part none:0"),
    ],
)
def test_a_pack_that_is_not_what_it_should_be_is_refused(packed, here, spoil, match):
    good, path = of(packed, "sarcasm.dann:0", "none:0")
    spoil(path)
    refused([good, path], here, f"nothing was unpacked: .*none.seed-0.*{match}")


def without(path: Path, ending: str) -> None:
    write(path, {n: d for n, d in members(path).items() if not n.endswith(ending)})


def other(path: Path, ending: str, data: bytes) -> None:
    write(path, {n: data if n.endswith(ending) else d for n, d in members(path).items()})


def lifted(path: Path, ending: str) -> None:
    """A score in a record raised by hand."""
    (name, data), *_ = [(n, d) for n, d in members(path).items() if n.endswith(ending)]
    record = json.loads(data)
    record["metrics"]["macro"] = 99.0
    other(path, name, json.dumps(record).encode())


def moved(path: Path) -> None:
    write(path, {n.replace("none/seed-0", "none/seed-9"): d for n, d in members(path).items()})


def test_all_that_is_wrong_is_said_at_once(packed, here):
    first, second = of(packed, "none:0", "none:1")
    first.write_bytes(b"")
    second.unlink()
    refused(of(packed, "sarcasm.dann:0", "none:0", "none:1"), here, "cut off.*no such file")


def repacked(whole: Path, folder: Path, part: str, name: str, **keys) -> Path:
    """The pack of a part after its record `name` was changed."""
    shutil.copytree(whole, folder)
    change(folder / name, **keys)
    study = params.load_study(DESIGN)
    files = {}
    for run in ("prepared", *packs.parts_of(DESIGN)[part]):
        record = json.loads((folder / run / "run.json").read_bytes())
        for file in ("run.json", *packs.packed_files(record)):
            files[f"{run}/{file}"] = (folder / run / file).read_bytes()
    packs._write(path := folder / "packs" / packs.file_name(part), study.study, part, files)
    return path


DANN = "target/intent/sarcasm.dann/seed-0"
TRAINED = "intermediate/sarcasm/dann/seed-0"


@pytest.mark.parametrize(
    ("name", "keys", "match"),
    [
        (
            TRAINED,
            {"code": {"notebook": "a", "library": "b"}},
            "code of intermediate: .*notebook a",
        ),
        (DANN, {"versions": {"torch": "1.0"}}, "version of torch: .*1.0 in 1 "),
        (DANN, {"environment": {"processor": "Z80"}}, "processor of block sarcasm:0: .*Z80"),
        (
            DANN,
            {"parameters": RUNS[DANN] | {"steps": 7}},
            "other parameters: steps 7 instead of 60",
        ),
        (
            TRAINED,
            {"files": {"checkpoint/model.safetensors": "0" * 64}},
            "not the same results in .*sarcasm.dann.seed-0.tar.gz and in",
        ),
        (DANN, {"versions": [], "status": 1}, "its record has no right status, versions"),
        (DANN, {"warnings": None}, "its record has no right warnings"),
        (DANN, {"metrics": {}, "parameters": {}}, "holds what is no record of a run .KeyError"),
        ("prepared", {"metrics": {}}, "holds what is no record of a run .KeyError.*contents"),
        (TRAINED, {"study": "laptop"}, "holds the run of .*, laptop"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_name(
    whole, packed, here, tmp_path, name, keys, match
):
    if "files" in keys:
        record = records.read(whole / name)
        keys = {"files": record["files"] | keys["files"]}
    changed = repacked(whole, tmp_path / "changed", "sarcasm.dann:0", name, **keys)
    refused([*of(packed), changed], here, match)  # packs against one another
    unpack(of(packed, "sarcasm.dann:0", "sarcasm.standard:0"), here)
    refused([changed], here, match)  # and against what is there


def test_other_data_are_refused_and_another_processor_s_last_bits_are_not(
    whole, packed, here, tmp_path
):
    files = records.read(whole / "prepared")["files"]
    changed = {"files": files | {"target/intent/train/tokens.npy": "0" * 64}}
    path = repacked(whole, tmp_path / "a", "sarcasm.dann:0", "prepared", **changed)
    refused(
        [*of(packed, "none:0"), path], here, "other data in prepared of .*: target/intent/train"
    )
    changed = {"files": files | {"target/intent/train/hidden.npy": "0" * 64}}
    path = repacked(whole, tmp_path / "b", "sarcasm.dann:0", "prepared", **changed)
    unpack([*of(packed, "none:0"), path], here)
    shutil.copytree(tmp_path / "a" / "prepared", here / "prepared")
    changed = {"files": files | {"target/intent/train/tokens.npy": "0" * 64}}
    change(here / "prepared", **changed)
    with pytest.raises(
        ValueError, match=r"other data in .*/unpacked/prepared than in .*: target/intent"
    ):
        load_study.collect(here, DESIGN)


def test_packs_of_another_study_and_runs_that_it_does_not_ask_for_are_refused(packed, here):
    less = DESIGN | {"scientific": DESIGN["scientific"] | {"seeds": [0]}}
    with pytest.raises(ValueError, match="none/seed-1 is not a run that the study file asks"):
        list(packs.unpack(of(packed, "none:1"), here, less))
    with pytest.raises(ValueError, match="a pack of study 'smoke', not 'laptop'"):
        list(packs.unpack(of(packed, "none:1"), here, find_study("laptop", ROOT / "params")))


def test_a_run_that_was_done_twice_with_the_same_results_is_one(whole, packed, here, tmp_path):
    twice = repacked(whole, tmp_path / "twice", "sarcasm.dann:0", DANN, wall_seconds=99.0)
    unpack(of(packed, "sarcasm.dann:0"), here)
    assert unpack([twice], here)[0].endswith("0 runs unpacked, 4 were there with the same results")
    assert records.read(here / DANN)["wall_seconds"] < 99


def test_a_run_that_is_started_anew_is_no_longer_an_unpacked_one(packed, here):
    unpack(of(packed, "none:0"), here)
    folder = here / "target/intent/none/seed-0"
    assert records.is_unpacked(folder)
    (folder / "run.json").unlink()
    assert not records.is_unpacked(folder)
    records.start(folder, "smoke")
    assert not (folder / records.UNPACKED).exists()


def dry_run(folder: Path) -> tuple[set[str], str]:
    """The rules that Snakemake would run in a folder with outputs/smoke, and what it says."""
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "--cores", "1"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--configfile"]
    command += [str(ROOT / "params" / f"{name}.yaml") for name in ("base", "smoke")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=120)
    said = done.stdout + done.stderr
    lines = said.partition("Job stats:")[2].partition("total")[0].splitlines()
    counts = dict(line.split() for line in lines[3:] if line.strip())
    return {f"{rule} {count}" for rule, count in counts.items()}, said


def test_snakemake_leaves_alone_what_was_unpacked(packed, tmp_path, capsys):
    folder = tmp_path / "clone"
    study = folder / "outputs" / "smoke"
    unpack(of(packed), study)
    end = {"analysis 1", "report 1", "all 1"}
    assert dry_run(folder)[0] == end
    shutil.rmtree(study / DANN)
    rules, said = dry_run(folder)
    assert not rules and f"refused: {DANN} is missing and reads runs that came in packs" in said
    assert "delete these, and they are made again, " in said and f"{TRAINED}/run.json" in said
    (study / TRAINED / "run.json").unlink()
    assert dry_run(folder)[0] == end | {"prepare 1", "intermediate 1", "target 1"}


def test_a_study_whose_runs_are_all_there_needs_no_data(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    own = {"study": "own", "outputs": str(tmp_path / "out")}
    own["fixed"] = {"sources": {"default": ["fixture"], "xnli": ["files"]}}
    own["scientific"] = {"targets": ["intent", "xnli"], "languages": ["en", "de"]}
    (tmp_path / "own.yaml").write_text(json.dumps(own))
    files = [str(ROOT / "params/base.yaml"), str(tmp_path / "own.yaml")]
    assert check_data.main(files) == 2 and "source 'files' needs" in capsys.readouterr().err
    for name in parameters_of_runs(params.load_study(check_data.read_study(*files))):
        if name != "prepared":
            records.write_json(tmp_path / "out/own" / name / "run.json", {})
    assert check_data.main(files) == 0
    assert "all of its runs have finished" in capsys.readouterr().out


@pytest.mark.slow
def test_a_report_is_made_of_what_is_there_and_says_what_is_missing(
    packed, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "clone" / "outputs" / "smoke"
    analysis, published = folder / "analysis", tmp_path / "reference" / "packs"
    published.mkdir(parents=True)
    for path in of(packed, "sarcasm.standard:0", "sarcasm.standard:1", "none:0"):
        shutil.copy(path, published)
    assert cli.main(["report", str(folder), str(published.parent)]) == 0
    said = capsys.readouterr().out
    assert "missing: 9 of 12 parts have no runs: " in said and f"{analysis}/incomplete.html" in said
    page = (analysis / "incomplete.html").read_text()
    assert "dann and standard are not compared: no target runs of dann." in page
    assert "no figure forest: nothing to draw" in page
    assert "intermediate/sarcasm/dann/seed-0 has no run.json" in page
    unpack(of(packed), folder)
    assert dry_run(tmp_path / "clone")[0] == {"analysis 1", "report 1", "all 1"}
    assert cli.main(["report", str(folder), str(published.parent)]) == 0
    assert "missing" not in capsys.readouterr().out and (analysis / "run.json").exists()
    assert (analysis / "report.html").exists() and not (analysis / "incomplete.html").exists()
    summary = json.loads((analysis / "summary.json").read_bytes())
    assert summary["blocks"] == 4 and summary["runs"] == len(RUNS) - 1
