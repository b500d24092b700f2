"""Pages say of arms only what their marked sections say, which are made of published summaries.

Elsewhere no sentence may hold an arm's name beside a number with a unit or a comparative word:
those are results, and results in prose outlive their numbers.
"""

import json
import re
from pathlib import Path

import pytest

from xgrl.arms import ARMS
from xgrl.report import claims, summary

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("clusters", "data", "speed", "statistics")  # of jobs, files, seconds and tests
DOCS = sorted(path.stem for path in (ROOT / "docs").glob("*.md") if path.stem not in OTHERS)
PAGES = ["README.md", *(f"docs/{name}.md" for name in DOCS), "notebooks/00_start_here.ipynb"]
DATED = re.compile(r"(?s)<!-- (as of [0-9a-f]{7,40}):start -->.*?<!-- \1:end -->")
NAMES = re.compile(rf"(?<![\w`-])({'|'.join(sorted(ARMS, key=len, reverse=True))})(?![\w`])", re.I)
UNIT = re.compile(r"\d\s*(?:%|points?\b)|\bp [=<] ?\d|(?<!\w)[+-]\d+\.\d+")
COMPARED = re.compile(
    r"\b(better|worse|best|worst|higher|lower|above|below|superior|inferior|equivalent"
    r"|(?:help|harm|gain|hurt|beat|improve|degrade|outperform|exceed|widen|narrow)(?:s|ed|d|ing)?"
    r"|loses?|losing|lost)\b", re.I,
)  # fmt: skip
METHOD = (  # sentences of method that have to compare, by their beginning
    "| robust-adversarial, robust-smoothing | the task's loss at the worst",
    "![Difference to standard by lambda_max with 95 % intervals]",
    "Look at none as well, the public encoder: where standard does not beat it",
    "The watching discriminator of control climbs well above chance",  # of the live toy run
)


def without_sections(page: str) -> str:
    return DATED.sub("\n\n", summary.MARKED.sub("\n\n", page))


def sentences(page: str) -> list[str]:
    """Of a page's prose and tables, without its marked sections, code and links' targets."""
    page = re.sub(r"(?s)```.*?```", "", without_sections(page))
    page = re.sub(r"`[^`\n]*`", "", re.sub(r"\]\([^)]*\)", "]", page))
    parts = re.split(r"\n\s*\n|\n(?=\||- |#)", page)
    texts = (" ".join(part.split()).replace("*", "") for part in parts)
    return [s for text in texts for s in re.split(r"(?<=[.!?])\s+(?=[\"(\[]?[A-Za-z])", text) if s]


def results_in(page: str) -> list[str]:
    """The sentences that say something of an arm that only a summary may say."""
    return [
        sentence
        for sentence in sentences(page)
        if NAMES.search(sentence) and (UNIT.search(sentence) or COMPARED.search(sentence))
        if not sentence.removeprefix("- ").startswith(METHOD)
    ]


def text_of(path: Path) -> str:
    """A page as Markdown; of a notebook its Markdown cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@pytest.mark.parametrize("name", PAGES)
def test_no_result_stands_outside_of_the_marked_sections(name):
    assert results_in(text_of(ROOT / name)) == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "said",
    [
        "So dann is worse than standard.",
        "- **Transfer.** After *dann* the score falls by 3.5 points, and\n  nothing else moves.",
        "A probe still reads the language from 64 % of sentences after dann, as it were.",
        "The difference of wdgrl is -8.49.",
        "Seconds matter: dann-0.1 loses most.",
        "English training helps nowhere: see *none*.",
        "| shuffled | -0.50 [-1.49, +0.50] |",
        "It holds for mlm (p = 0.031).",
        "Centring improves retrieval.",
    ],
)
def test_a_result_that_is_put_anywhere_else_is_found(name, said):
    page = text_of(ROOT / name)
    paragraphs = without_sections(page).split("\n\n")
    for place in {0, len(paragraphs) // 2, len(paragraphs)}:
        changed = "\n\n".join([*paragraphs[:place], said, *paragraphs[place:]])
        assert len(results_in(changed)) == 1, place
    # a marker of another name, or one that is not closed, hides nothing
    assert results_in(f"<!-- other:start -->\n{said}\n<!-- other:end -->")
    assert results_in(f"<!-- arms claims:start -->\n{said}")
    assert results_in(f"<!-- arms claims:start -->\n{said}\n<!-- arms results:end -->")
    assert not results_in(f"<!-- arms claims:start -->\n{said}\n<!-- arms claims:end -->")


def test_method_may_be_said():
    assert not results_in("dann adds a gradient reversal layer. It was better in every respect.")
    assert not results_in("`make study PART=dann:0` takes 26 minutes, and standard comes with it.")


SECTIONS = [
    (page, found[1], found[2], found[0])
    for page in PAGES
    for found in summary.MARKED.finditer(text_of(ROOT / page))
]


def test_every_published_study_has_its_results_on_a_page():
    published = {path.parts[-3] for path in ROOT.glob("outputs/reference/*/analysis/summary.json")}
    assert {study for _, study, part, _ in SECTIONS if part == "results"} == published


@pytest.mark.parametrize(("page", "study", "part", "found"), SECTIONS, ids=lambda v: v[:20])
def test_marked_sections_are_what_the_published_summary_makes(page, study, part, found):
    published = claims.read(ROOT / f"outputs/reference/{study}/analysis/summary.json")
    inside = "\n".join(found.split("\n")[1:]).rsplit("<!--", 1)[0]
    assert inside == summary.section(published, part)
    for row in (*published["table"], published["arms_against_baseline"][-1]):
        row["theta"] += 1
    comparison = published["comparison"]
    for row in (*comparison["per_intermediate"], *comparison["per_task"]):
        row["theta"] += 1
    assert inside != summary.section(published, part)


def test_no_method_sentence_is_allowed_that_no_page_has():
    everything = [s for name in PAGES for s in sentences(text_of(ROOT / name))]
    for beginning in METHOD:
        assert any(s.removeprefix("- ").startswith(beginning) for s in everything), beginning
