"""YAML that says what one reads; a study file that is named as its study."""

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from xgrl.runs.study_files import find_study, parse, read_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", ["key 'a' stands twice, in line 1 and line 3"]),
        ("a: {b: 1, c: 2, b: 3}", ["key 'b' stands twice, in line 1 and line 1"]),
        ("a:\n- b: 1\n  b: 1\n", ["key 'b' stands twice, in line 2 and line 3"]),
        ("rows: 0100", ["line 1: YAML reads 0100 as 64"]),
        ("a: 1\nrows: [-0_7]", ["line 2: YAML reads -0_7 as -7"]),
        ("minutes: 1:30:00", ["line 1: YAML reads 1:30:00 as 5400"]),
        ("margin: 1:30.5", ["line 1: YAML reads 1:30.5 as 90.5"]),
        ("{0100: x, 0100: y}", ["key '0100' stands twice", "YAML reads 0100 as 64"]),
        ("a: [1", ["not YAML", "line 1"]),
        ("date: 2026-13-45", ["not YAML", "month"]),
        (b"a: \xff", ["not YAML"]),
        ("[" * 5000, ["not YAML"]),
    ],
)
def test_what_yaml_reads_otherwise_is_refused_with_its_line(text, said):
    with pytest.raises(ValueError) as error:
        parse(text, "mine.yaml")
    message = str(error.value)
    assert message.startswith("mine.yaml: ") and "\n" not in message
    assert all(words in message for words in said), message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 0\nb: 0.05\nc: 0x10\nd: '0100'\ne: \"1:30:00\"\nf: 1_000\ng: 010.5\nh: -3\ni: a:b",
        "a: &x {b: 1}\nc: {<<: *x, b: 2}\nd: *x",
        "1: a\n'1': b",
    ],
)
def test_what_says_what_one_reads_is_what_yaml_reads(text):
    assert parse(text) == yaml.safe_load(text)


def test_study_files_are_merged_as_snakemake_merges_them():
    for path in (ROOT / "params").glob("*.yaml"):
        if path.stem != "base":
            config: dict = {}
            for name in ("base", path.stem):
                text = (ROOT / "params" / f"{name}.yaml").read_text()
                update_config(config, yaml.safe_load(text))
            assert find_study(path.stem, ROOT / "params") == config
    assert find_study("nothing", ROOT / "params") == {}


def test_a_copy_that_kept_the_study_s_name_is_refused(tmp_path):
    (tmp_path / "base.yaml").write_text("outputs: outputs")
    (tmp_path / "other.yaml").write_text("study: mini\n")
    with pytest.raises(
        ValueError,
        match=r"other.yaml: study is 'mini', but must be the file's name; write study: other, or "
        r"call the file mini.yaml",
    ):
        read_study(tmp_path / "base.yaml", tmp_path / "other.yaml")
    (tmp_path / "other.yaml").write_text("study: other\n")
    (tmp_path / "more.yaml").write_text("outputs: elsewhere\n")  # changes a study, is none
    files = (tmp_path / name for name in ("base.yaml", "other.yaml", "more.yaml"))
    assert read_study(*files) == {"outputs": "elsewhere", "study": "other"}


def test_a_file_without_names_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"list.yaml: expected names and values, found \[1\]"):
        read_study(tmp_path / "list.yaml")
