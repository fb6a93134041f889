"""The text of this repository is plain: standard terms, short sentences, functions that are verbs."""

from __future__ import annotations

import ast

from tests.kit import prose


def test_no_text_and_no_name_uses_a_word_that_the_glossary_does_not_use() -> None:
    files = prose.source_files()
    assert [str(finding) for finding in prose.banned_lines([*files, *prose.documents()])] == []
    assert [str(finding) for finding in prose.banned_names(files)] == []


def test_no_function_is_named_by_a_participle() -> None:
    assert [str(finding) for finding in prose.participle_functions(prose.source_files())] == []


def test_sentences_are_short() -> None:
    sentences = prose.all_sentences()
    assert len(sentences) > 3000, "the texts were not found"
    too_long = [
        f"{sentence.path}:{sentence.line}: {sentence.length} words" for sentence in sentences if sentence.length > prose.LONGEST_SENTENCE
    ]
    assert too_long == []
    assert prose.mean_length(sentences) < prose.MEAN_SENTENCE


def test_modules_and_functions_keep_to_their_budgets() -> None:
    """A module has at most 400 lines, a function 50 lines without its docstring, a lifecycle 200."""
    too_long: list[str] = []
    for path in (path for path in prose.source_files() if path.suffix == ".py"):
        text = path.read_text(encoding="utf-8")
        name, lines = path.relative_to(prose.ROOT), len(text.splitlines())
        if lines > (200 if path.name == "lifecycle.py" and "_providers" in path.parts else 400):
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
                if length > 50:
                    too_long.append(f"{name}: {node.name} has {length} lines")
    assert too_long == []


def test_only_the_public_api_and_the_demo_name_a_provider() -> None:
    """In code; examples in docstrings may. All else finds providers by entry point."""
    providers = sorted(path.name for path in (prose.ROOT / "src/orderflow/_providers").iterdir() if (path / "__init__.py").exists())
    assert providers == ["ccv", "connect"]
    naming: set[str] = set()
    for path in (path for path in prose.source_files() if path.suffix == ".py"):
        place = str(path.relative_to(prose.ROOT / "src/orderflow"))
        if not place.startswith(("_providers/", "_cli/demo/")) and _names_in_code(ast.parse(path.read_text(encoding="utf-8"))) & {
            *providers,
            *(name.capitalize() for name in providers),
        }:
            naming.add(place)
    assert naming == {"__init__.py"}


def _names_in_code(tree: ast.AST) -> set[str]:
    """The words of imports, strings and class names. Docstrings and functions such as ``connect`` of a database are none."""
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    words: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if "_providers" in module:
                words |= set(module.split("."))
            case ast.Constant(value=str(text)) if node not in docstrings:
                words |= set(text.replace("-", " ").split()) if "." not in text else set(text.split("."))
    return words
