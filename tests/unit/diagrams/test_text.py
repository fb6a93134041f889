"""Mermaid and Markdown: what each line looks like, hostile texts, and that nothing of the table is missing."""

import re

import pytest

from orderflow._diagrams.captions import build_captions
from orderflow._diagrams.markdown import build_markdown
from orderflow._diagrams.mermaid import build_legend, build_mermaid
from orderflow._lifecycle.table import Table
from orderflow.diagrams import build_drawing, render
from orderflow.errors import InvalidInput

# the syntax of a line of a picture; Q is a text in quotes
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


def replace_texts(picture: str) -> list[str]:
    """The lines of a picture, with Q for every text in quotes."""
    first, *rest = picture.splitlines()
    return [first, *(re.sub(r'"[^"]*"', "Q", line) for line in rest)]


def read_rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table after a heading, with its head."""
    body = text[text.index(heading) :]
    block = re.search(r"(?:^\|.*\n?)+", body, re.MULTILINE)
    assert block is not None
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in block[0].splitlines()]


def test_documented_lines_are_solid_and_others_dashed(ccv: Table) -> None:
    picture = build_mermaid(build_drawing(ccv))
    assert '  s_Processing -->|"#9632; processed"| s_Incomplete\n' in picture, "documented"
    assert '  s_Incomplete -.->|"#9679; ready"| s_New\n' in picture, "inferred"
    assert '  s_New -.->|"#9632; reserved"| s_ErpInProgress\n' in picture, "assumed"
    assert '  any_open -..->|"#9670; CCV closes"| s_Closed\n' in picture, "a fan, inferred and assumed"
    assert '  s_Screening --->|"#9670; rejected or closed"| s_Closed\n' in picture


def test_every_state_is_shown_by_its_value_once(registered: Table) -> None:
    picture = build_mermaid(build_drawing(registered))
    for state in registered.states:
        assert len(re.findall(rf'^ +s_\w+\(\[?"{state}"\]?\)$', picture, re.MULTILINE)) == 1


def test_a_group_contains_its_members_and_a_node_of_its_own(ccv: Table) -> None:
    picture = build_mermaid(build_drawing(ccv))
    inside = picture[picture.index("subgraph") : picture.index("  end\n")]
    assert '"Screening"' in inside
    assert '"any open state"' in inside
    assert '"Completed"' not in inside


def test_every_line_has_known_syntax(registered: Table, small: dict[str, Table]) -> None:
    for table in (registered, *small.values()):
        for line in replace_texts(build_mermaid(build_drawing(table))):
            assert SYNTAX.fullmatch(line), line


def test_hostile_texts_stay_texts(small: dict[str, Table]) -> None:
    picture = build_mermaid(build_drawing(small["hostile"]))
    texts = re.findall(r'"([^"]*)"', picture.partition("\n")[2])
    for text in texts:
        without_entities = re.sub(r"#\d+;", "", text)
        assert not re.search(r"[^A-Za-z0-9 _.,:()+/'=-]", without_entities), text
    assert 's_end(["end"])' in picture, "an identifier is never a reserved word"
    shown = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), max(texts, key=len))
    assert shown.removeprefix("▲ ") == " ".join(next(edge.label for edge in small["hostile"].edges).split())


def test_hostile_texts_break_neither_a_table_nor_a_code_block(small: dict[str, Table]) -> None:
    table = render(small["hostile"], "table").decode()
    for heading in ("# hostile", "## States", "## Guards", "## Facts"):
        rows = read_rows(table, heading)
        assert {len(row) for row in rows} == {len(rows[0])}
    assert "<b>" not in table
    assert render(small["hostile"], "mermaid").count(b"```") == 4, "two blocks, and no text opens another"


def test_labels_with_the_same_beginning_and_causes_share_a_caption(connect: Table) -> None:
    (arrow,) = (a for a in build_drawing(connect).arrows if (a.source, a.target, a.solid) == ("fulfilling", "confirming", True))
    assert [caption.marked for caption in build_captions(arrow)] == [
        "■ accepted",
        "● returned: success, cancel",
        "■ returned: error, unclear",
    ]


def test_the_legend_explains_only_the_kinds_in_the_drawing(ccv: Table, connect: Table) -> None:
    assert '"open, assumed"' in build_legend(build_drawing(ccv))
    assert '"open, assumed"' not in build_legend(build_drawing(connect))
    assert '-.->|"assumed"|' in build_legend(build_drawing(connect))


def test_the_table_has_every_edge_with_all_its_fields(registered: Table) -> None:
    head, _, *rows = read_rows(build_markdown(registered), "# ")
    columns = {name: n for n, name in enumerate(head)}
    printed = [
        (source.strip("` "), *(re.sub(r"[`\\]", "", row[columns[name]]) for name in head[1:]))
        for row in rows
        for source in row[columns["From"]].split(",")
    ]
    assert len(printed) == len(registered.edges)
    for edge in registered.edges:
        fields = {
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
        assert all(not value for name, value in fields.items() if name not in columns), "a column with values is missing"
        assert tuple(str(fields[name]) for name in head) in printed


def test_the_table_has_states_deadlines_guards_and_readings(connect: Table) -> None:
    text = build_markdown(connect)
    assert "| `unknown` | provisional | `recovery_window_closed` after `recovery_window` |" in text
    assert "| `paid` | proven |  | `paid_budget` |" in text
    assert "| `by_url` | `way = url` |" in text
    assert "| `sms_in_flight` | `by_sms = True`, `way = api` |" in text
    assert re.search(r"\| `fulfilled` \| .*`user_assigned` \| `fulfilled` \|", text)


def test_unknown_format_is_refused(ccv: Table) -> None:
    with pytest.raises(InvalidInput, match="mermaid, table"):
        render(ccv, "pdf")
