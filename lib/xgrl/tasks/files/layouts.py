"""The "files" source as a table: for every task and split the names that are looked for, upstream's
first and then those of XTREME's download layout, and what reads each.

XTREME's own UDPOS files have the multi-word tokens where CoNLL-U has syntactic words, so CoNLL-U,
where it is there, serves all splits. XTREME cuts the ids of TyDiQA's training questions down to
numbers that many share, so upstream's training file, which it leaves beside them, is read first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from xgrl.tasks import rows
from xgrl.tasks.files import readers as read
from xgrl.tasks.formats import CARDS, Row
from xgrl.tasks.rows import Request, duplicate_row, nli_row
from xgrl.tasks.sources import unlike
from xgrl.tasks.sources.files import find, find_all, read_lines

MNLI_ID = "mnli-train-{n}"
MULTINLI = "multinli_1.0_train.jsonl multinli_1.0/multinli_1.0_train.jsonl"
MATCHED = "multinli_1.0_dev_matched.jsonl multinli_1.0/multinli_1.0_dev_matched.jsonl"
XNLI_MT = "XNLI-MT-1.0/multinli/{0} multinli/{0} {0}".format("multinli.train.{l}.tsv")
TRANSLATED = read.table(read.translated_row, ("premise", "hypo", "label"), MNLI_ID)
# what stands for a line of QQP that a text with a line end has broken: left out and counted
BROKEN = {"question1": "a broken line", "question2": "", "is_duplicate": None}
PAWSX = ("id", "sentence1", "sentence2", "label")
COPA = read.jsonl(read.copa_row, "xcopa-{split}-{r[idx]}")
COSMOS = ("id", "context", "question", "answer0", "answer1", "answer2", "answer3", "label")
TREEBANKS = "{l}_*-ud-{split}.conllu UD_*/{l}_*-ud-{split}.conllu */UD_*/{l}_*-ud-{split}.conllu"
TAGGED = "{task}-{l}-{split}-{n}"
MEWSLIX = "{0} mewsli_x/output/dataset/{0} mewsli-x/{0}"
MLQA = "test-context-{l}-question-{l}.json"

# task; splits; names or glob patterns, the preferred first, with what stands in braces as in
# `Request.fill`; what reads them. Lines of one task and split are alternatives, in this order.
LAYOUTS: tuple[tuple[str, str, str, read.Reader], ...] = (
    ("snli", "train", "snli_1.0_train.jsonl snli_1.0/snli_1.0_train.jsonl", read.jsonl(nli_row)),
    ("anli-r1", "train dev", "R1/{split}.jsonl anli_v1.0/R1/{split}.jsonl", read.jsonl(nli_row)),
    ("anli-r2", "train dev", "R2/{split}.jsonl anli_v1.0/R2/{split}.jsonl", read.jsonl(nli_row)),
    ("anli-r3", "train dev", "R3/{split}.jsonl anli_v1.0/R3/{split}.jsonl", read.jsonl(nli_row)),
    ("mnli", "train", MULTINLI, read.jsonl(nli_row)),
    ("mnli", "dev", MATCHED, read.jsonl(nli_row)),
    ("mnli", "translated", XNLI_MT, TRANSLATED),
    ("qqp", "train dev", "QQP/{split}.tsv {split}.tsv",
     read.table(duplicate_row, tuple(BROKEN), broken=BROKEN)),
    ("squad2", "train dev", "{split}-v2.0.json", partial(read.squad, unanswerable=True)),
    ("squad xquad mlqa", "train dev", "{split}-v1.1.json", read.squad),
    ("hellaswag", "train dev", "hellaswag_{val}.jsonl", read.jsonl(rows.hellaswag_row)),
    ("ccg", "train dev", "{split}.tsv", read.words(read.tabbed)),
    ("ccg", "train dev", "{split}.txt", read.piped),
    ("cosmosqa", "train dev", "{valid}.csv",
     read.table(rows.cosmosqa_row, COSMOS, "{r[id]}", commas=True)),
    ("cosmosqa", "train dev", "{valid}.jsonl", read.jsonl(rows.cosmosqa_row, "{r[id]}")),
    ("commonsenseqa", "train dev", "{split}_rand_split.jsonl",
     read.jsonl(rows.commonsenseqa_row, "{r[id]}")),
    ("siqa", "train dev", "socialIQa_v1.4_{trn}.jsonl", read.jsonl(rows.siqa_row)),
    ("siqa", "train dev", "{split}.jsonl", read.siqa_with_labels),
    ("xnli", "train", "train-en.tsv", read.xtreme(nli_row, MNLI_ID)),
    ("xnli", "train", XNLI_MT, TRANSLATED),
    ("xnli", "train", MULTINLI, read.jsonl(nli_row, MNLI_ID)),
    ("xnli", "dev test", "xnli.{split}.tsv xnli.{split}.jsonl XNLI-1.0/xnli.{split}.tsv "
     "XNLI-1.0/xnli.{split}.jsonl", read.xnli_of_one_language),
    ("xnli", "dev test", "{split}-{l}.tsv", read.xtreme(nli_row)),
    ("xcopa", "train dev test", "{l}/{val}.{l}.jsonl {val}.{l}.jsonl data/{l}/{val}.{l}.jsonl",
     COPA),
    ("xcopa", "train dev", "COPA/{val}.jsonl {val}.jsonl", COPA),
    ("udpos", "train dev test", TREEBANKS, read.words(read.conllu, "{treebank}-{n}")),
    ("udpos", "train dev test", "{split}-{l}.tsv", read.words(read.tabbed, TAGGED)),
    ("panx", "train dev test", "{l}/{split} {l}-{split} panx_dataset/{l}-{split}",
     read.words(read.prefixed, TAGGED)),
    ("panx", "train dev test", "{split}-{l}.tsv",
     read.words(read.tabbed, TAGGED, rows.wikiann_row)),
    ("xquad", "test", "xquad.{l}.json", read.squad),
    ("mlqa", "test", f"{MLQA} MLQA_V1/test/{MLQA} test/{MLQA}", read.squad),
    ("tydiqa", "train dev", "tydiqa-goldp-v1.1-train.json "
     "tydiqa-goldp-v1.1-train/tydiqa-goldp-v1.1-train.json "
     "tydiqa-goldp-v1.1-train/tydiqa.goldp.{l}.train.json tydiqa.goldp.{l}.train.json",
     read.tydiqa),
    ("tydiqa", "test", "tydiqa-goldp-v1.1-dev.json "
     "tydiqa-goldp-v1.1-dev/tydiqa-goldp-v1.1-dev.json "
     "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{tydi}.json tydiqa-goldp-dev-{tydi}.json "
     "tydiqa-goldp-v1.1-dev/tydiqa.goldp.{l}.dev.json tydiqa.goldp.{l}.dev.json", read.tydiqa),
    ("pawsx", "train dev test", "x-final/{l}/{2k}.tsv {l}/{2k}.tsv",
     read.table(duplicate_row, PAWSX, "pawsx-{split}-{r[id]}")),
    ("pawsx", "train dev test", "{split}-{l}.tsv", read.xtreme(duplicate_row)),
    ("mewslix", "train dev", MEWSLIX.format("wikipedia_pairs-{split}.jsonl"),
     read.jsonl(lambda record, _: rows.mention_pair(record))),
    ("mewslix", "queries", MEWSLIX.format("wikinews_mentions-test.jsonl"), read.mentions),
    ("mewslix", "candidates", MEWSLIX.format("candidate_set_entities.jsonl"),
     read.jsonl(lambda record, _: rows.entity_row(record))),
)  # fmt: skip
FOLDERS = {  # of a task besides the user's own, where they are not one of its name
    "snli": "snli anli", "anli-r1": "anli", "anli-r2": "anli", "anli-r3": "anli",
    "mnli": "mnli xnli anli", "xnli": "xnli mnli", "squad2": "squad2 squad",
    "xquad": "xquad squad", "mlqa": "mlqa squad", "cosmosqa": "cosmosqa cosmos_qa",
    "commonsenseqa": "commonsenseqa commonsense_qa", "xcopa": "xcopa copa", "panx": "panx wikiann",
    "mewslix": "mewslix mewsli-x",
}  # fmt: skip
# where a task's files can be had, and what else to say where one is missing
WHERE, HINTS = CARDS["files"], CARDS["hints"]
Wanted = tuple[Sequence[str], Sequence[str]]  # folders, and names of which any one will do


def _readers(request: Request) -> dict[str, read.Reader]:
    """Names of `LAYOUTS` for a split and language, the preferred first, and what reads each."""
    readers = {}
    for tasks, splits, names, reader in LAYOUTS:
        if request.task in tasks.split() and request.split in splits.split():
            readers |= dict.fromkeys(request.fill(names).split(), reader)
    return readers


def wanted(task: str, language: str, split: str) -> list[Wanted]:
    """The files that a split of a task in `LAYOUTS` is read from."""
    if task == "anli":
        return [file for part in _anli(split) for file in wanted(part, language, split)]
    folders, names = FOLDERS.get(task, task).split(), list(_readers(Request(task, language, split)))
    labels = [(folders, [names[0], f"{split}-labels.lst"])] if task == "siqa" else []
    return [(folders, names), *labels]


def load(task: str, language: str, split: str, path: Path | None) -> Iterator[Row]:
    """The rows of a split of a task in `LAYOUTS`, from the first of its names that is there in
    ``<path>/<task>/`` or ``<path>``; SourceError: no such file, or one that is not what it must be.
    """
    readers = _readers(request := Request(task, language, split))
    names, folders = list(readers), FOLDERS.get(task, task).split()
    find(path, folders, names, HINTS.get(task, ""))  # refuses a folder without any of them
    name = next(name for name in names if find_all(path, folders, [name]))
    request = replace(request, upstream=names[: names.index(name)] or names[:1])
    for file in find_all(path, folders, [name]):
        yield from readers[name](file, request)


def anli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """SNLI, MultiNLI and the three rounds of ANLI together; dev is ANLI's development sets."""
    for task in _anli(split):
        yield from load(task, language, split, path)


def _anli(split: str) -> list[str]:
    return [*(("snli", "mnli") if split == "train" else ()), "anli-r1", "anli-r2", "anli-r3"]


def ccg(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """CCG tags as positions in `ccg_labels`; a sentence with another is left out and counted."""
    index = {tag: position for position, tag in enumerate(ccg_labels(path))}
    for row in load("ccg", language, split, path):
        yield row | {"tags": [index.get(tag, tag) for tag in row["tags"]]}


def ccg_labels(path: str | Path) -> tuple[str, ...]:
    """The CCG tags in index order, from the folder of the "files" source: the lines of
    ``tags.txt``, or else the tags of the training file, sorted. The data are under licence and so
    cannot name the classes in the table of tasks, where ``labels`` is empty.
    """
    if not (listed := find_all(path, ("ccg",), ["tags.txt"])):
        rows = load("ccg", "en", "train", path)
        return tuple(sorted({tag for row in rows for tag in row["tags"]}))
    tags = [line.strip() for _, line in read_lines(listed[0]) if line.strip()]
    if len(set(tags)) != len(tags):
        raise unlike(listed[0], "each tag once", f"{len(tags)} lines and {len(set(tags))} tags")
    return tuple(tags)
