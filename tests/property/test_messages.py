"""Whatever providers answer, and however often, what is kept of it stays within its bounds, and the last answer of each source is there."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.commits import NOW, new_order
from tests.kit.inline_store import InlineStore

from orderflow._engine.messages import MAX_BODY_BYTES, MAX_CONTENT_TYPE, make_message
from orderflow._provider.outcomes import ProviderAnswer
from orderflow._store.records import MAX_MESSAGES
from orderflow.model import Message


@given(st.binary(max_size=40), st.integers(1, 20_000), st.text(max_size=300), st.booleans())
def test_a_message_is_bounded_text_that_every_database_stores(piece: bytes, times: int, content_type: str, whole: bool) -> None:
    body = piece * times
    message = make_message("toy-a", "call", ProviderAnswer(200, content_type, body, whole), NOW)
    assert message is not None
    kept = message.body.encode()  # raises for what is no text
    assert len(kept) <= MAX_BODY_BYTES
    assert "\0" not in message.body
    assert len(message.content_type) <= MAX_CONTENT_TYPE
    assert message.content_type.isprintable()
    start = body.decode("utf-8", "replace").replace("\0", "\ufffd")
    assert start.startswith(message.body)
    assert message.truncated == (not whole or start != message.body)
    if message.body != start:
        assert len(kept) > MAX_BODY_BYTES - 4  # no more is cut than must be


@given(st.integers(), st.integers(1, 260), st.integers(1, 5), st.integers(1, 200))
@settings(deadline=None, max_examples=40)
def test_the_messages_of_an_order_are_bounded_and_the_last_of_each_source_stays(seed: int, count: int, sources: int, kinds: int) -> None:
    rng, weights = random.Random(seed), [50.0**-n for n in range(sources)]  # some answer often, some hardly ever
    written = [
        Message(
            "toy-a",
            f"source {rng.choices(range(sources), weights)[0]}",
            rng.choice((200, 503)),
            "",
            f"{rng.randrange(kinds)}",
            False,
            at,
            at,
        )
        for at in (NOW + n for n in range(count))
    ]
    kept = asyncio.run(_keep(written))
    assert len(kept) <= MAX_MESSAGES
    last = {message.source: message for message in written}
    stored = {(message.source, message.status, message.body): message for message in kept}
    for message in last.values():
        assert stored[message.source, message.status, message.body].last_at == message.at
    expected = Counter((message.source, message.status, message.body) for message in written)
    assert all(message.count <= expected[key] for key, message in stored.items())
    if len(expected) <= MAX_MESSAGES:
        assert {key: message.count for key, message in stored.items()} == expected
    else:
        assert len(kept) == MAX_MESSAGES


async def _keep(messages: list[Message]) -> list[Message]:
    store = InlineStore()
    await store.open()
    await store.create(new_order(), "content")
    for message in messages:
        await store.add_message(message)
    return await store.messages("toy-a")
