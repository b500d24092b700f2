"""What comes from outside is data: no pickle, no code, no path out of its folder, no shell word, no
open socket.
"""

import ast
import asyncio
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import nbformat
import numpy as np
import papermill.parameterize
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_client import KernelManager

from small_encoders import build
from xgrl.execution import checks, kernels
from xgrl.models.encoder import load_encoder
from xgrl.prepare.corpus import load_corpus
from xgrl.runs import params
from xgrl.tasks.sources import packages

ROOT = Path(__file__).resolve().parents[2]
CODE = [*sorted((ROOT / "lib/xgrl").rglob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))]


class Bomb:
    """Unpickling it leaves a file."""

    def __init__(self, mark: Path):
        self.mark = str(mark)

    def __reduce__(self) -> tuple:
        return open, (self.mark, "w")


def calls() -> list[tuple[str, str, dict[str, object]]]:
    """Every call in the library and the notebooks: place, dotted name, keyword constants."""
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in CODE}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        sources[path.name] = "\n".join(
            line for cell in cells for line in cell.splitlines() if not line.startswith(("%", "!"))
        )
    found = []
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                words = {k.arg: getattr(k.value, "value", ...) for k in node.keywords}
                found.append((f"{name}:{node.lineno}", ast.unparse(node.func), words))
    return found


def test_nothing_in_the_code_runs_what_it_reads():
    made = calls()
    assert len(made) > 3000
    banned = (
        "pickle.",
        "dill.",
        "joblib.",
        "torch.load",
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "os.system",
        "shelve.",
    )
    assert [
        c for c in made if c[1].startswith(banned) or c[1] in ("eval", "exec", "__import__")
    ] == []
    assert [
        c
        for c in made
        if c[2].get("allow_pickle") or c[2].get("trust_remote_code") or c[2].get("shell")
    ] == []
    assert [c for c in made if c[1].endswith((".extractall", ".extract"))] == []
    loads = [
        c for c in made if c[1].endswith("AutoModel.from_pretrained") and c[0].startswith("lib")
    ]
    assert loads and all(None in c[2] for c in loads), loads  # **SAFELY


def test_a_pickle_among_the_weights_is_refused(tmp_path):
    build("bert").save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder/model.safetensors").unlink()
    torch.save({"x": Bomb(tmp_path / "mark")}, tmp_path / "encoder/pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_encoder(tmp_path / "encoder")
    assert not (tmp_path / "mark").exists()


def test_a_pickle_in_an_array_is_refused(tmp_path):
    data = io.BytesIO()
    np.save(data, np.array([1]))
    header = data.getvalue()[: -np.array([1]).nbytes].replace(b"'<i8'", b"'|O' ")
    (tmp_path / "offsets.npy").write_bytes(header + pickle.dumps([Bomb(tmp_path / "mark")]))
    (tmp_path / "tokens.npy").write_bytes(header + pickle.dumps([Bomb(tmp_path / "mark")]))
    pq.write_table(
        pa.table({"id": ["a"]}).replace_schema_metadata({"format": "classification"}),
        tmp_path / "rows.parquet",
    )
    with pytest.raises(ValueError, match="allow_pickle"):
        load_corpus(tmp_path)
    assert not (tmp_path / "mark").exists()


def test_code_that_comes_with_an_encoder_is_not_run(tmp_path):
    build("bert").save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder/evil.py").write_text(
        f"open({str(tmp_path / 'mark')!r}, 'w')\nclass Evil: pass\n"
    )
    config = json.loads((tmp_path / "encoder/config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"},
    }
    (tmp_path / "encoder/config.json").write_text(json.dumps(config))
    with pytest.raises((ValueError, OSError)):
        load_encoder(tmp_path / "encoder")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/tmp/x",
        "a/b",
        "..",
        ".",
        "",
        "a\nb",
        "a b",
        "$(touch x)",
        "`x`",
        "a;b",
        "~",
        "é",
        "-rf",
    ],
)
def test_names_cannot_leave_the_outputs_folder(name):
    for key in ("study", "intermediate", "arm", "target"):
        with pytest.raises(checks.Refused, match=key):
            checks.check_job("03_target", {key: name})


def test_a_link_out_of_the_outputs_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/smoke").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(checks.Refused, match=r"symbolic link in it leads to .*elsewhere"):
        checks.check_job("01_prepare", {"outputs": str(tmp_path / "outputs")})
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    # the folder itself may be anywhere
    assert checks.check_job("01_prepare", {"outputs": str(tmp_path / "link")})


@pytest.mark.parametrize("outputs", ["a{b}", "a\nb", "", "a\x00b", "a\x7f"])
def test_an_outputs_folder_that_snakemake_would_misread_is_refused(outputs):
    with pytest.raises(checks.Refused, match="outputs"):
        checks.check_job("01_prepare", {"outputs": outputs})


@pytest.mark.slow
def test_shell_words_of_a_study_are_quoted(tmp_path):
    outputs = "o ut'p\"u $(touch mark) ;touch mark; `touch mark` & > mark"
    (tmp_path / "extra.yaml").write_text(json.dumps({"outputs": outputs}))
    files = [str(ROOT / "params/base.yaml"), str(ROOT / "params/smoke.yaml"), "extra.yaml"]
    goal = f"{outputs}/smoke/prepared/run.json"
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1",
        "--nolock", goal, "--configfile", *files,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / goal).exists() and not (tmp_path / "mark").exists()


@pytest.mark.fuzz
@settings(max_examples=settings.default.max_examples // 8)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.sampled_from(['"""\nMARK = 1\n"""', "'\nMARK = 1\n'", "\\", '\\"\nMARK = 1 #'])
)
def test_parameters_are_injected_as_data(text):
    values = params.PrepareJob().model_dump() | {
        "encoder": text,
        "path": text,
        "intermediate": [text],
    }
    cell = nbformat.v4.new_code_cell("encoder = ''", metadata={"tags": ["parameters"]})
    metadata = {
        "papermill": {},
        "kernelspec": {"name": "python3", "display_name": "", "language": "python"},
    }
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    injected = papermill.parameterize.parameterize_notebook(notebook, values).cells[1]
    found: dict[str, object] = {}
    exec(injected.source, {}, found)
    assert found == values


def test_archive_members_stay_in_their_folder_and_links_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("XGRL_CACHE", str(tmp_path / "cache"))
    archive = tmp_path / "evil-1.0.tar.gz"
    (tmp_path / "outside").mkdir()

    def member(name: str, **about: object) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        for key, value in about.items():
            setattr(info, key, value)
        return info

    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(
            member("evil-1.0/link", type=tarfile.SYMTYPE, linkname=str(tmp_path / "outside"))
        )
        tar.addfile(member("evil-1.0/link/a.txt", size=1), io.BytesIO(b"a"))
    folder = packages._unpack(archive, packages.Pin("evil", "1.0", "0" * 64), "delete it")
    assert (folder / "link/a.txt").read_bytes() == b"a" and not (folder / "link").is_symlink()
    assert not list((tmp_path / "outside").iterdir())
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member("evil-1.0/../../out.txt", size=1), io.BytesIO(b"a"))
    with pytest.raises(packages.SourceError, match="points outside its folder"):
        packages._unpack(archive, packages.Pin("evil", "2.0", "1" * 64), "delete it")
    assert not list(tmp_path.rglob("out.txt"))


def test_sockets_lie_in_folders_of_one_user(short_folder, monkeypatch):
    monkeypatch.setattr(kernels.tempfile, "gettempdir", lambda: str(short_folder))
    base = kernels._base()
    assert base.parent == short_folder
    assert base.stat().st_mode & 0o777 == 0o700
    base.chmod(0o755)
    with pytest.raises(PermissionError, match="must be this user's alone"):
        kernels._base()
    base.rmdir()
    (short_folder / "other").mkdir(mode=0o700)
    base.symlink_to(short_folder / "other")  # somebody else's link
    with pytest.raises(PermissionError):
        kernels._base()
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    with pytest.raises(PermissionError, match="found mode 700"):  # and of another user
        kernels._base()


def test_a_kernel_s_sockets_are_in_a_folder_that_nobody_else_enters(short_folder, monkeypatch):
    async def nothing(self, **_):
        return {}

    monkeypatch.setattr(kernels.tempfile, "gettempdir", lambda: str(short_folder))
    monkeypatch.setattr(kernels.LocalProvisioner, "pre_launch", nothing)
    manager = KernelManager()
    made = kernels.WarmProvisioner(parent=manager)
    asyncio.run(made.pre_launch())
    assert [*short_folder.glob("xgrl-kernel-*")] == [Path(made.folder)] == [Path(manager.ip).parent]
    assert Path(made.folder).stat().st_mode & 0o777 == 0o700
