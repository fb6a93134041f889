"""A simulator's operations as OpenAPI 3.1. What may live here: one operation as a value, and the document of all of them.

Every operation, and every answer of it, says whether the provider's pages state it (``documented``), imply it
(``inferred``) or leave it to us (``assumed``), and on which page: ``x-evidence`` and ``x-source``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import field, frozen

Evidence = Literal["documented", "inferred", "assumed"]
Json = dict[str, Any]


@frozen
class Answer:
    """One answer: what it means, and where that stands. ``schema`` is JSON Schema, None for no or a free body."""

    meaning: str
    evidence: Evidence
    source: str
    schema: Json | None = None


@frozen
class Operation:
    """One call. ``path`` has ``{names}``; ``security`` names one of the provider's schemes, empty for none."""

    method: str
    path: str
    title: str
    evidence: Evidence
    source: str
    answers: Mapping[int, Answer]
    body: Json | None = None
    query: tuple[str, ...] = ()
    security: str = ""
    media: str = "application/json"
    note: str = field(default="")


def document(title: str, operations: Iterable[Operation], schemes: Mapping[str, Json]) -> Json:
    """The OpenAPI document; ``servers`` is left to who serves it."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{title}, simulated",
            "version": "1",
            "description": "x-evidence says of each operation and answer whether the provider's pages state it (documented), imply it "
            "(inferred) or are silent (assumed); x-source names the page.",
        },
        "paths": paths,
        "components": {"securitySchemes": dict(schemes)},
    }


def _operation(operation: Operation) -> Json:
    made: Json = {
        "operationId": operation_id(operation),
        "summary": operation.title,
        "description": f"{operation.evidence.capitalize()}: {operation.source}." + (f" {operation.note}" if operation.note else ""),
        "x-evidence": operation.evidence,
        "x-source": operation.source,
        "responses": {str(status): _answer(answer, operation.media) for status, answer in operation.answers.items()},
    }
    names = re.findall(r"{(\w+)}", operation.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": {operation.media: {"schema": operation.body}}}
    if operation.security:
        made["security"] = [{operation.security: []}]
    return made


def operation_id(operation: Operation) -> str:
    """A name for the operation that is stable and unique."""
    return operation.method.lower() + "".join(part.strip("{}").capitalize() for part in re.split(r"[/_-]", operation.path) if part)


def _answer(answer: Answer, media: str) -> Json:
    made: Json = {"description": answer.meaning, "x-evidence": answer.evidence, "x-source": answer.source}
    if answer.schema is not None:
        shown = "application/json" if media.endswith("form-urlencoded") else media
        made["content"] = {shown: {"schema": answer.schema}}
    return made
