"""The statement that commits decisions to PostgreSQL: the golden file shows its main variants, so that each change of the SQL is a diff.

To write the file anew: ``python -m tests.unit.store.test_commit_statement``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.commits import NOW, move, new_order, stay

from orderflow._store.postgres.commit import (
    COMMIT_SQL,
    build_statement,
    check_columns,
    commit_statement,
    load_statement,
    plan_write,
    to_storable,
)
from orderflow._store.records import Commit, DueDeadline, InboxKey, PollAt, PollSooner, StopPolling
from orderflow.model import Applied, EffectKey, Order, Reason

GOLDEN = Path(__file__).parent / "commit_statements.sql"
ALL_PARTS = (
    "moved",
    "effects",
    "id_change",
    "inbox",
    "refusal",
    "deadline",
    "deadlines",
    "finished_effect",
    "cancelled_effects",
    "poll",
    "message",
)
VARIANTS = {
    "one command that moves the order": (("moved", "effects", "inbox", "poll"), False),
    "one event that is refused": (("refusal",), False),
    "one reply with the provider's id and its message": (("moved", "id_change", "inbox", "finished_effect", "message"), False),
    "one deadline": (("moved", "inbox", "deadline", "deadlines"), False),
    "one of everything": (ALL_PARTS, False),
    "a batch of commands": (("moved", "effects", "inbox", "poll"), True),
    "a batch of everything": (ALL_PARTS, True),
}


def golden_text() -> str:
    """Every variant, with its name."""
    loads = [
        (f"load, {'a batch' if batch else 'one'}{with_what}", load_statement(batch=batch, deadline=deadline, call=call))
        for batch in (False, True)
        for with_what, deadline, call in (("", False, False), (", with deadlines", True, False), (", with replies", False, True))
    ]
    commits = [(f"commit, {name}", commit_statement(("", *parts), batch=batch)) for name, (parts, batch) in VARIANTS.items()]
    return "".join(f"-- {name}\n{statement};\n\n" for name, statement in (*loads, *commits))


def test_the_variants_are_those_of_the_golden_file() -> None:
    assert golden_text() == GOLDEN.read_text()


@pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
@pytest.mark.parametrize("part", ALL_PARTS)
def test_a_part_is_there_only_where_it_is_needed(part: str, batch: bool) -> None:
    others = tuple(name for name in ("", *ALL_PARTS) if name != part)
    every, without, only = (commit_statement(parts, batch=batch) for parts in (("", *ALL_PARTS), others, ("", part)))
    assert len(without) < len(every)
    assert len(only) > len(commit_statement(("",), batch=batch))


def everything(order: Order) -> Commit:
    """A commit that needs every part but the refusal, which a move has not."""
    return move(
        "sent",
        effects=["call", "search"],
        facts={"paid": True},
        data={"n": 1},
        deadlines=(("late", NOW + 1), ("later", NOW + 2)),
        poll=PollAt(NOW + 3, 1, 2.0, 4),
        finished_effect=EffectKey(order.id, 0, 0),
        cancel_effects=True,
    )(order)


def test_a_write_has_the_values_of_each_part_that_its_commit_needs() -> None:
    order = new_order()
    write = plan_write(order, InboxKey("reply", "k"), everything(order), DueDeadline(order.id, "due", "toy", 4))
    changes = ('{"paid":true}', '{"n":1}')
    assert write.values == {
        "": ("toy-a", 0, NOW),
        "moved": ("sent", 1, *changes, True, [(1, "moved", "reply", "drafted", "sent", "step", "", *changes)]),
        "effects": (((1, 0, "call", "", "", ""), (1, 1, "search", "", "", "")),),
        "inbox": ("reply", "k", ""),
        "deadline": ("due", 4),
        "deadlines": (True, [("late", 1, NOW + 1), ("later", 1, NOW + 2)]),
        "finished_effect": (0, 0),
        "cancelled_effects": (0,),
        "poll": ("at", NOW + 3, 1, 2.0, 4, None),
    }
    assert (write.receipt.state, write.receipt.version) == ("sent", 1)


@pytest.mark.parametrize(
    ("commit", "key", "expected"),
    [
        (
            stay(Reason.LATE),
            InboxKey("claim", "k"),
            {"inbox": ("claim", "k", ""), "refusal": ("knocked", "claim", "drafted", 0, "late", "")},
        ),
        (stay(Reason.LATE, recorded=False, keep_key=False), InboxKey("claim", "k"), {}),
        (stay(recorded=False, poll=PollSooner(2.0)), None, {"poll": ("sooner", None, 0, 2.0, 0, None)}),
        (stay(recorded=False, poll=StopPolling()), None, {"poll": ("stop", None, 0, 0.0, 0, None)}),
    ],
    ids=["refused", "nothing", "poll sooner", "stop polling"],
)
def test_a_write_of_an_order_that_stays_has_only_what_is_recorded(commit, key, expected) -> None:
    order = new_order()
    write = plan_write(order, key, commit(order), None)
    assert write.values == {"": ("toy-a", 0, NOW), **expected}
    assert (write.receipt.state, write.receipt.version) == ("drafted", 0)


@pytest.mark.parametrize(("kept", "written"), [(True, "content"), (False, "")])
def test_the_fingerprint_of_a_key_is_written_unless_the_order_is_redacted(kept: bool, written: str) -> None:
    order = new_order()
    write = plan_write(order, InboxKey("command", "k", "content"), move("sent", keep_fingerprint=kept)(order), None)
    assert write.values["inbox"] == ("command", "k", written)


def test_facts_and_data_that_did_not_change_are_not_written() -> None:
    order = new_order()
    assert plan_write(order, None, move("sent")(order), None).values["moved"][2:4] == (None, None)


def test_one_write_goes_as_plain_values_with_its_lists_as_json() -> None:
    order = new_order()
    statement, values = build_statement([plan_write(order, InboxKey("reply", "k"), move("sent", effects=["call"])(order), None)])
    assert statement == commit_statement(("", "moved", "effects", "inbox"), batch=False)
    journal, effects = '[[1,"moved","reply","drafted","sent","step","","",""]]', '[[1,0,"call","","",""]]'
    assert values == ["toy-a", 0, NOW, "sent", 1, None, None, True, journal, effects, "reply", "k", ""]
    assert sorted(set(map(int, re.findall(r"\$(\d+)", statement)))) == list(range(1, len(values) + 1))


def test_a_batch_goes_as_one_json_document_with_blanks_where_a_commit_does_not_need_a_part() -> None:
    first, second = new_order("a"), new_order("b")
    writes = [
        plan_write(first, InboxKey("reply", "k"), move("sent", effects=["call"])(first), None),
        plan_write(second, None, stay(Reason.LATE)(second), None),
    ]
    statement, (document,) = build_statement(writes)
    assert statement == commit_statement(("", "moved", "effects", "inbox", "refusal"), batch=True)
    journal = [[1, "moved", "reply", "drafted", "sent", "step", "", "", ""]]
    nothing = [None] * 6
    assert json.loads(document) == [
        ["toy-a", 0, NOW, "sent", 1, None, None, True, journal, [[1, 0, "call", "", "", ""]], "reply", "k", "", *nothing],
        ["toy-b", 0, NOW, None, None, None, None, None, [], [], None, None, None, "knocked", "claim", "drafted", 0, "late", ""],
    ]
    assert sorted(set(map(int, re.findall(r"value ->>? (\d+)", statement)))) == list(range(19))


def test_what_cannot_be_dumped_fails_before_anything_is_sent() -> None:
    order = new_order()
    with pytest.raises(TypeError):
        plan_write(order, None, move("sent", data={"bad": {1, 2}})(order), None)


def test_the_text_of_others_is_made_storable() -> None:
    order = new_order()
    commit = move("sent")(order)
    assert isinstance(commit.decision, Applied)
    noted = evolve(commit, journal=(evolve(commit.journal[0], note="a\0b\ud800"),))
    write = plan_write(order, InboxKey("claim", "a\0b\ud800"), noted, None)
    assert write.values["moved"][5][0][6] == write.values["inbox"][1] == "a\N{REPLACEMENT CHARACTER}b?"
    assert to_storable(7) == 7
    assert to_storable("Bjørk") == "Bjørk"


if __name__ == "__main__":
    GOLDEN.write_text(golden_text())


def test_columns_in_another_order_are_refused() -> None:
    """Values find their columns by position: two columns that change places would be written into each other."""
    check_columns(COMMIT_SQL["commit"])
    swapped = re.sub(r"(.*:event::text.*\n)(.*:refused_origin::text.*\n)", r"\2\1", COMMIT_SQL["commit"])
    assert swapped != COMMIT_SQL["commit"]
    with pytest.raises(ValueError, match="part 'refusal'"):
        check_columns(swapped)
