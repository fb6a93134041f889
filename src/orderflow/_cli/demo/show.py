"""How the demo is printed: three orders explained step by step, every journal if asked for, and one line of totals; or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from orderflow._cli import show
from orderflow._cli.demo.stories import STORIES, Story
from orderflow._cli.demo.world import Ending
from orderflow._cli.journal import HEAD, journal_json, journal_row, print_journal
from orderflow._cli.order_view import REFUSAL_HEAD, refusal_row
from orderflow._cli.tables import Row
from orderflow.model import JournalRow

_OPENING = (
    "Three orders at Connect, a provider of subscriptions. It is simulated on this machine; the calls go over real sockets. Deadlines are"
    " short here: seconds instead of minutes or days."
)


def print_endings(endings: Sequence[Ending], seconds: float, *, everything: bool, kept: bool) -> None:
    """Print the stories, with ``everything`` also the other scenarios, and the totals. ``kept``: the orders are in a database still."""
    show.paragraph(_OPENING)
    by_name = {ending.scenario.name: ending for ending in endings}
    for number, story in enumerate(STORIES, 1):
        _print_story(number, story, by_name[story.scenario])
    others = [ending for ending in endings if ending.scenario.name not in {story.scenario for story in STORIES}]
    if everything:
        for ending in others:
            _print_scenario(ending)
    show.line()
    _print_hints(len(others), everything=everything, kept=kept)
    _print_totals(endings, seconds)


def _print_story(number: int, story: Story, ending: Ending) -> None:
    show.line()
    show.paragraph(f"{number}. {story.title}")
    show.paragraph(story.opening)
    show.line()
    show.table(HEAD, [_explain(row, story) for row in ending.journal])
    show.line()
    show.paragraph(story.closing if ending.ok else _describe_failure(ending))


def _explain(row: JournalRow, story: Story) -> Row:
    note = f"note: {row.note}" if row.note else ""
    return evolve(journal_row(row), notes=tuple(filter(None, (story.steps.get(row.target), note))))


def _print_scenario(ending: Ending) -> None:
    scenario = ending.scenario
    show.line()
    show.paragraph(f"{scenario.provider}: {scenario.name} -> {ending.reached} ({'ok' if ending.ok else _describe_failure(ending)})")
    for text in ending.shown:
        show.paragraph(text, indent="  ")
    print_journal(ending.journal)
    if ending.refusals:
        show.table(REFUSAL_HEAD, [refusal_row(row) for row in ending.refusals])


def _print_hints(others: int, *, everything: bool, kept: bool) -> None:
    if not everything:
        show.paragraph(f"{others} other scenarios were played too. To see their journals: orderflow demo --all")
    if kept:
        show.paragraph("The orders are kept. To look at them: orderflow orders list, with the same --db")
    else:
        show.paragraph("To keep the orders and look at them: give --db a database URL, then orderflow orders list")


def _print_totals(endings: Sequence[Ending], seconds: float) -> None:
    for ending in endings:
        if not ending.ok:
            show.paragraph(f"{ending.scenario.provider}: {ending.scenario.name}: {_describe_failure(ending)}")
    show.line(f"{sum(ending.ok for ending in endings)} of {len(endings)} scenarios ended as they must, in {seconds:.1f} s")


def _describe_failure(ending: Ending) -> str:
    reason = f": {ending.why}" if ending.why else ""
    return f"FAILED, expected {ending.scenario.expected}, reached {ending.reached or 'nothing'}{reason}"


def print_json(endings: Sequence[Ending]) -> None:
    """Print one JSON list."""
    show.document(
        [
            {
                "scenario": ending.scenario.name,
                "provider": ending.scenario.provider,
                "expected": ending.scenario.expected,
                "reached": ending.reached,
                "ok": ending.ok,
                "why": ending.why,
                "shown": ending.shown,
                "journal": journal_json(ending.journal),
            }
            for ending in endings
        ]
    )
