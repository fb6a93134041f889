"""A simulator's operations as OpenAPI 3.1. Contains only: one operation as a value, and the document of all of them.

Each operation and each of its answers has ``x-evidence`` and ``x-source``: whether the provider's pages state it (``documented``),
imply it (``inferred``) or say nothing about it (``assumed``), and on which page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import frozen

Evidence = Literal["documented", "inferred", "assumed"]
Json = dict[str, Any]


@frozen
class Answer:
    """One answer: its meaning, and where it is documented. ``schema`` is JSON Schema; None for no body or any body."""

    meaning: str
    evidence: Evidence
    source: str
    schema: Json | None = None


@frozen
class Operation:
    """One call. ``path`` may have ``{names}``; ``security`` is the name of one of the provider's schemes, or empty."""

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


def openapi_document(title: str, operations: Iterable[Operation], schemes: Mapping[str, Json]) -> Json:
    """The OpenAPI document, without ``servers``."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation_object(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{title}, simulated",
            "version": "1",
            "description": "x-evidence of an operation or answer: the provider's pages state it (documented), imply it (inferred) "
            "or say nothing about it (assumed); x-source is the page.",
        },
        "paths": paths,
        "components": {"securitySchemes": dict(schemes)},
    }


def _operation_object(operation: Operation) -> Json:
    result: Json = {
        "operationId": operation_id(operation),
        "summary": operation.title,
        "description": f"{operation.evidence.capitalize()}: {operation.source}.",
        "x-evidence": operation.evidence,
        "x-source": operation.source,
        "responses": {str(status): _response_object(answer, operation.media) for status, answer in operation.answers.items()},
    }
    names = re.findall(r"{(\w+)}", operation.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query]
    if parameters:
        result["parameters"] = parameters
    if operation.body is not None:
        result["requestBody"] = {"required": True, "content": {operation.media: {"schema": operation.body}}}
    if operation.security:
        result["security"] = [{operation.security: []}]
    return result


def operation_id(operation: Operation) -> str:
    """A stable, unique name of the operation."""
    return operation.method.lower() + "".join(part.strip("{}").capitalize() for part in re.split(r"[/_-]", operation.path) if part)


def _response_object(answer: Answer, media: str) -> Json:
    result: Json = {"description": answer.meaning, "x-evidence": answer.evidence, "x-source": answer.source}
    if answer.schema is not None:
        response_media = "application/json" if media.endswith("form-urlencoded") else media
        result["content"] = {response_media: {"schema": answer.schema}}
    return result
