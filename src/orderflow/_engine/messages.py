"""From the answer of a provider to the message that is kept of it: text, bounded. Pure."""

from __future__ import annotations

from orderflow._provider.outcomes import ProviderAnswer
from orderflow.model import Message

POLL = "poll"
"""The source of the answers to status polls."""

MAX_BODY_BYTES = 64 * 1024
"""The most that is kept of a body, in UTF-8. The order of an answer, an error or a list is far below it."""

MAX_CONTENT_TYPE = 200
"""The most characters that are kept of a content type."""


def make_message(order_id: str, source: str, answer: ProviderAnswer | None, at: float) -> Message | None:
    """The message that an answer becomes; None: there was no answer. ``at``: when it came.

    Set ``at`` once an answer. A store counts an answer only once, however often it is written, and knows it by this.
    """
    if answer is None:
        return None
    body, truncated = _read_body(answer.body)
    content_type = "".join(filter(str.isprintable, answer.content_type))[:MAX_CONTENT_TYPE]
    return Message(order_id, source, answer.status, content_type, body, truncated or not answer.whole, at, at)


def _read_body(body: bytes) -> tuple[str, bool]:
    """The body as text that every database stores, and whether it was cut. Replacement makes text longer: the text is what is measured."""
    start = body[: MAX_BODY_BYTES + 4]  # a character that the end cuts stands behind the bound, and goes
    text = start.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}").encode()
    if len(text) <= MAX_BODY_BYTES and len(start) == len(body):
        return text.decode(), False
    return text[:MAX_BODY_BYTES].decode("utf-8", "ignore"), True
