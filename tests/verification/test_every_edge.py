"""Every edge of both lifecycles is taken end to end: SQLite, real HTTP to the simulators, real deadlines, claims by the receiver.

Each story of tests/kit/edges_*.py names the edges that its order takes. One test plays a story in a world of its own and finds those
edges in the journal, as steps. Another test names the edges that no story claims. So stories can run in any order and process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.kit import edges_ccv, edges_connect, edges_connect_completing
from tests.kit.stories import Case, Story, edge_name

OPEN: dict[str, Callable[[Path, Story], AbstractAsyncContextManager[Case[Any]]]] = {
    "ccv": edges_ccv.open_ccv,
    "connect": edges_connect.open_connect,
}
STORIES = (*edges_connect.STORIES, *edges_connect_completing.STORIES, *edges_ccv.STORIES)


@pytest.mark.anyio
@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.table.name}: {story.name}")
async def test_a_story_takes_its_edges(story: Story, tmp_path: Path) -> None:
    async with OPEN[story.table.name](tmp_path, story) as case:
        await story.play(case)
        await case.assert_takes(story)


@pytest.mark.parametrize("lifecycle", sorted(OPEN))
def test_every_edge_is_in_a_story(lifecycle: str) -> None:
    stories = [story for story in STORIES if story.table.name == lifecycle]
    table = stories[0].table
    claimed = {name for story in stories for name in story.edges}
    edges = {edge_name(table, edge) for edge in table.edges}
    assert len(edges) == len(table.edges)
    assert sorted(edges - claimed) == []
    assert sorted(claimed - edges) == []
