"""Finds dialect, long sentences and participle names in this repository's own text and code. Used by tests/test_prose.py; reads files only.

Run ``python -m tests.kit.prose`` to list what it finds.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]

BANNED = re.compile(
    r"\b(heed(s|ed|ing)?|manners|stir(s|red|ring)?|ears|crowds?|dice|doors?|tellings?|told|beats?|ghosts?|whoever|nobody|vain|aside)\b",
    re.IGNORECASE,
)
"""Words that the glossary does not use, in any text or name."""

BANNED_NAMES = re.compile(r"(?<![A-Za-z0-9])(said|heard|hears?|words?)(?![A-Za-z0-9])")
"""Words that no name may contain: "said" as a function, "word" for an event or status."""

LONGEST_SENTENCE = 34
MEAN_SENTENCE = 18.0

_IRREGULAR = frozenset(
    [
        "told",
        "said",
        "kept",
        "held",
        "made",
        "written",
        "seen",
        "found",
        "given",
        "taken",
        "left",
        "sent",
        "heard",
        "known",
        "met",
        "put",
        "begun",
        "come",
        "gone",
        "done",
        "shown",
        "drawn",
        "built",
        "read_",
        "lost",
        "meant",
        "thrown",
        "cut",
        "spent",
    ]
)
_NOT_PARTICIPLES = frozenset(["feed", "need", "seed", "speed", "embed", "shed", "exceed", "proceed", "succeed", "red"])


@frozen
class Finding:
    """Something that should not be in the repository: where, and what."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@frozen
class Sentence:
    """A sentence of prose and its number of words."""

    path: str
    line: int
    text: str
    length: int


def source_files() -> list[Path]:
    """Python, SQL and Markdown files of the package, sorted."""
    return sorted(path for ending in ("py", "sql", "md") for path in (ROOT / "src").rglob(f"*.{ending}"))


def documents() -> list[Path]:
    """The Markdown files outside src that users read, sorted."""
    tops = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md") if (ROOT / name).exists()]
    return [*tops, *sorted((ROOT / "docs").rglob("*.md"))]


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ── banned words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def banned_lines(paths: list[Path]) -> Iterator[Finding]:
    """Lines with a word that the glossary does not use."""
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if (path.name == "glossary.md" and "not used" in line.lower()) or "migrations" in path.parts:
                continue  # a migration names what the version before called a thing
            if found := BANNED.search(line.replace("_", " ")):
                yield Finding(_relative(path), number, f"{found[0]!r} in {line.strip()[:100]}")


def banned_names(paths: list[Path]) -> Iterator[Finding]:
    """Names in code with a word that no name may contain."""
    for path in (path for path in paths if path.suffix == ".py"):
        for name, number in _names(ast.parse(path.read_text(encoding="utf-8"))):
            if BANNED_NAMES.search(name.replace("_", " ").lower()):
                yield Finding(_relative(path), number, f"the name {name}")


def _names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


# ── functions that are named by a participle ─────────────────────────────────────────────────────────────────────────────


def participle_functions(paths: list[Path]) -> Iterator[Finding]:
    """Functions and methods whose name begins with a past participle; properties and pytest hooks are names of things."""
    for path in (path for path in paths if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_property(node):
                continue
            first = node.name.lstrip("_").split("_")[0]
            if first in _IRREGULAR or (first.endswith("ed") and len(first) > 3 and first not in _NOT_PARTICIPLES):
                yield Finding(_relative(path), node.lineno, f"the function {node.name}")


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id in ("property", "cached_property") for one in node.decorator_list)


# ── sentences ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sentences_of_document(path: Path) -> Iterator[Sentence]:
    """The sentences of a Markdown file: paragraphs, list items and table cells, without code."""
    yield from _sentences(_relative(path), _markdown_blocks(path.read_text(encoding="utf-8").splitlines()))


def sentences_of_docstrings(path: Path) -> Iterator[Sentence]:
    """The sentences of all docstrings of a Python file, without indented blocks, ``Args`` names and tables."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                line = node.body[0].lineno
                yield from _sentences(_relative(path), _docstring_blocks(text.splitlines(), line))


Block = tuple[int, str]
_LIST_ITEM = re.compile(r"([-*]|\d+\.|\d+ {2}|\||Args:|Raises|Returns:|Attributes:|Yields:)")


def _markdown_blocks(lines: list[str]) -> Iterator[Block]:
    code = False
    block: list[str] = []
    start = 1
    for number, line in enumerate([*lines, ""], 1):
        stripped = line.strip()
        if stripped.startswith("```"):
            code = not code
            stripped = ""
        elif code:
            continue
        new_item = re.match(r"([-*]|\d+\.|#+|\||<)\s?", stripped)
        if block and (not stripped or new_item):
            yield start, " ".join(block)
            block = []
        if stripped.startswith("|"):
            for cell in stripped.strip("|").split(" | "):
                if not re.fullmatch(r"[\s:|-]*", cell):
                    yield number, cell
        elif stripped and not stripped.startswith(("<", "![")):
            if not block:
                start = number
            block.append(re.sub(r"^([-*]|\d+\.|#+|>)\s+", "", stripped))


def _docstring_blocks(lines: list[str], first: int) -> Iterator[Block]:
    block: list[str] = []
    start = first
    for number, line in enumerate([*lines, ""], first):
        indent, stripped = len(line) - len(line.lstrip()), line.strip()
        is_code = indent >= 4 and not re.match(r"[\w, .*`]+: ", stripped) and not block
        if not stripped or is_code or _LIST_ITEM.match(stripped) or re.fullmatch(r"\w+:", stripped):
            if block:
                yield start, " ".join(block)
            block = []
            if stripped and not is_code:
                yield number, re.sub(r"^([-*]|\d+\.)\s+", "", stripped)
            continue
        if indent >= 4 and re.match(r"[\w, .*`]+: ", stripped) and block:  # the next argument or error
            yield start, " ".join(block)
            block = []
        if not block:
            start = number
        block.append(stripped)


def _sentences(path: str, blocks: Iterator[Block]) -> Iterator[Sentence]:
    for line, block in blocks:
        text = re.sub(r"``[^`]*``|`[^`]*`", "code", block)
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
        text = re.sub(r"\b(e\.g|i\.e|etc|vs|no)\.", r"\1", text)
        for sentence in re.split(r"(?<=[.!?])[\"')*]*\s+(?=[A-Z\"'(*]|code)", text):
            length = len(re.findall(r"[\w'-]+", sentence))
            if length:
                yield Sentence(path, line, sentence, length)


def mean_length(sentences: list[Sentence]) -> float:
    """Mean number of words of sentences with three words or more; shorter ones are labels."""
    lengths = [sentence.length for sentence in sentences if sentence.length > 2]
    return sum(lengths) / len(lengths) if lengths else 0.0


def all_sentences() -> list[Sentence]:
    """Every sentence of the documents, and of the docstrings and guides in src."""
    found: list[Sentence] = []
    for path in [*documents(), *(path for path in source_files() if path.suffix == ".md")]:
        found += sentences_of_document(path)
    for path in (path for path in source_files() if path.suffix == ".py"):
        found += sentences_of_docstrings(path)
    return found


def main() -> None:
    """Print everything that is found."""
    files, texts = source_files(), documents()
    for finding in [*banned_lines([*files, *texts]), *banned_names(files), *participle_functions(files)]:
        print(finding)
    sentences = all_sentences()
    for sentence in sorted(sentences, key=lambda sentence: -sentence.length):
        if sentence.length > LONGEST_SENTENCE:
            print(f"{sentence.path}:{sentence.line}: {sentence.length} words: {sentence.text[:160]}")
    print(f"{len(sentences)} sentences, mean {mean_length(sentences):.1f} words", file=sys.stderr)


if __name__ == "__main__":
    main()
