"""Mermaid and Markdown: what is drawn how, hostile texts, nothing lost."""

import re

import pytest

from orderflow.diagrams import draw, render
from orderflow.diagrams.captions import captions
from orderflow.diagrams.markdown import markdown
from orderflow.diagrams.mermaid import legend, mermaid
from orderflow.errors import InvalidInput
from orderflow.lifecycle.table import Table

# what a line of a picture may look like once every quoted text in it is cut out
SYNTAX = re.compile(
    r"""%%\{init:\ \{.*\}\}%%
    | flowchart\ TD
    | \s+start\(\(Q\)\)\ -->\ \w+
    | \s+\w+(\(Q\) | \(\[Q\]\) | \{\{Q\}\})
    | \s+subgraph\ \w+\[Q\]
    | \s+end
    | \s+\w+\ (--> | ---> | -\.-> | -\.\.->)\|Q\|\ \w+
    | \s+\w+\ ~~~\ \w+
    | \s+(classDef | class | style | linkStyle)\ [\w,]+\ [\w\#:,.\- ]+""",
    re.VERBOSE,
)


def lines_without_texts(picture: str) -> list[str]:
    first, *rest = picture.splitlines()
    return [first, *(re.sub(r'"[^"]*"', "Q", line) for line in rest)]


def cells(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table after a heading, head included."""
    body = text[text.index(heading) :]
    block = re.search(r"(?:^\|.*\n?)+", body, re.MULTILINE)
    assert block is not None
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in block[0].splitlines()]


def test_documented_lines_are_solid_and_others_dashed(ccv: Table) -> None:
    picture = mermaid(draw(ccv))
    assert '  s_Processing -->|"#9632; processed"| s_Incomplete\n' in picture, "documented"
    assert '  s_Incomplete -.->|"#9679; ready"| s_New\n' in picture, "inferred"
    assert '  s_New -.->|"#9632; reserved"| s_ErpInProgress\n' in picture, "assumed"
    assert '  any_open -..->|"#9670; CCV closes"| s_Closed\n' in picture, "a fan, inferred and assumed"
    assert '  s_Screening --->|"#9670; rejected or closed"| s_Closed\n' in picture


def test_every_state_is_shown_by_its_value_once(registered: Table) -> None:
    picture = mermaid(draw(registered))
    for state in registered.states:
        assert len(re.findall(rf'^ +s_\w+\(\[?"{state}"\]?\)$', picture, re.MULTILINE)) == 1


def test_group_holds_its_members_and_its_own_node(ccv: Table) -> None:
    picture = mermaid(draw(ccv))
    inside = picture[picture.index("subgraph") : picture.index("  end\n")]
    assert '"Screening"' in inside
    assert '"any open state"' in inside
    assert '"Completed"' not in inside


def test_nothing_but_known_syntax_is_written(registered: Table, small: dict[str, Table]) -> None:
    for table in (registered, *small.values()):
        for line in lines_without_texts(mermaid(draw(table))):
            assert SYNTAX.fullmatch(line), line


def test_hostile_texts_stay_texts(small: dict[str, Table]) -> None:
    picture = mermaid(draw(small["hostile"]))
    texts = re.findall(r'"([^"]*)"', picture.partition("\n")[2])
    for text in texts:
        without_entities = re.sub(r"#\d+;", "", text)
        assert not re.search(r"[^A-Za-z0-9 _.,:()+/'=-]", without_entities), text
    assert 's_end(["end"])' in picture, "a reserved word is no identifier of ours"
    shown = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), max(texts, key=len))
    assert shown.removeprefix("▲ ") == " ".join(next(edge.label for edge in small["hostile"].edges).split())


def test_hostile_texts_break_neither_table_nor_fence(small: dict[str, Table]) -> None:
    table = render(small["hostile"], "table").decode()
    for heading in ("# hostile", "## States", "## Guards", "## Facts"):
        rows = cells(table, heading)
        assert {len(row) for row in rows} == {len(rows[0])}
    assert "<b>" not in table
    assert render(small["hostile"], "mermaid").count(b"```") == 4, "two fences, and none opened by a text"


def test_labels_share_their_beginning_and_keep_their_cause(connect: Table) -> None:
    (arrow,) = (a for a in draw(connect).arrows if (a.source, a.target, a.solid) == ("fulfilling", "confirming", True))
    assert [caption.marked for caption in captions(arrow)] == ["■ accepted", "● returned: success, cancel", "■ returned: error, unclear"]


def test_legend_explains_the_kinds_that_occur(ccv: Table, connect: Table) -> None:
    assert '"open, assumed"' in legend(draw(ccv))
    assert '"open, assumed"' not in legend(draw(connect))
    assert '-.->|"assumed"|' in legend(draw(connect))


def test_table_holds_every_edge_with_all_it_says(registered: Table) -> None:
    head, _, *rows = cells(markdown(registered), "# ")
    at = {name: n for n, name in enumerate(head)}
    said = [
        (source.strip("` "), *(re.sub(r"[`\\]", "", row[at[name]]) for name in head[1:]))
        for row in rows
        for source in row[at["From"]].split(",")
    ]
    assert len(said) == len(registered.edges)
    for edge in registered.edges:
        full = {
            "From": edge.source,
            "Event": edge.event,
            "Origin": edge.origin,
            "Guard": edge.guard,
            "To": edge.target,
            "Label": edge.label,
            "Sets": ", ".join(f"{fact} = {value}" for fact, value in edge.sets.items()),
            "Effects": ", ".join(effect.name for effect in edge.effects),
            "Cause": edge.cause,
            "Evidence": f"{edge.evidence.strength}: {edge.evidence.page}",
            "Expects": edge.expects,
            "Mark": "recovery" if edge.recovery else "",
        }
        assert all(not value for name, value in full.items() if name not in at), "a column was left out that says something"
        assert tuple(str(full[name]) for name in head) in said


def test_table_holds_states_deadlines_guards_and_readings(connect: Table) -> None:
    text = markdown(connect)
    assert "| `unknown` | provisional | `recovery_window_closed` after `recovery_window` |" in text
    assert "| `paid` | proven |  | `paid_budget` |" in text
    assert "| `by_url` | `way = url` |" in text
    assert "| `sms_in_flight` | `by_sms = True`, `way = api` |" in text
    assert re.search(r"\| `fulfilled` \| .*`user_assigned` \| `fulfilled` \|", text)


def test_unknown_format_is_refused(ccv: Table) -> None:
    with pytest.raises(InvalidInput, match="mermaid, table"):
        render(ccv, "pdf")
