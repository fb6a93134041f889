"""Digests of requests and commands, by which a key that is used again with other content is recognised. Pure.

What is compared is the meaning and not the spelling. Numbers are compared by their value, so 295, 295.0 and ``Decimal("295.00")`` are one.
The order of names does not matter, and a null counts as absent. Text, numbers and truth values never equal each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii as write_text


def fingerprint(content: Mapping[str, object]) -> str:
    """A digest of JSON values, which may hold Decimals. Two contents have the same where they mean the same."""
    return hashlib.sha256(_write(content).encode()).hexdigest()


def fingerprint_of_version_0_1(request: Mapping[str, object]) -> str:
    """The digest that version 0.1 stored with a create key. It compared the spelling."""
    canonical = json.dumps(request, sort_keys=True, default=lambda value: dict(value) if isinstance(value, Mapping) else str(value))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _write(value: object) -> str:
    """The one text of all values that mean the same."""
    if isinstance(value, str):
        return write_text(value)
    if isinstance(value, Mapping):
        members = sorted([(name, part) for name, part in value.items() if part is not None])
        return "{" + ",".join([f"{write_text(name)}:{_write(part)}" for name, part in members]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_write, value)) + "]"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _write_number(value)
    return json.dumps(value)


def _write_number(value: float | Decimal) -> str:
    """A number as ``digits e exponent``, exactly; a float is the shortest text that names it."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact:
        return "0"
    sign, digits, exponent = exact.as_tuple()
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    return f"{'-' if sign else ''}{significant.lstrip('0')}e{int(exponent) + len(written) - len(significant)}"
