"""Layout of tables and paragraphs: no line is too wide, no word is cut, nothing gets lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow._cli.tables import Row, lay_out_table, wrap

HEAD = ("order", "state", "why")


def test_a_table_that_fits_is_aligned_and_its_empty_columns_are_left_out() -> None:
    rows = [Row(("a-1", "New", "")), Row(("a-22", "Completed", ""))]
    assert lay_out_table(HEAD, rows, 80) == ["ORDER  STATE", "a-1    New", "a-22   Completed"]


def test_the_last_column_wraps_where_prose_has_a_place() -> None:
    rows = [Row(("a-1", "New", "it must be paid before it can be shipped"))]
    assert lay_out_table(HEAD, rows, 38) == [
        "ORDER  STATE  WHY",
        "a-1    New    it must be paid before",
        "              it can be shipped",
    ]


def test_columns_that_do_not_fit_stand_below_their_row_with_their_names() -> None:
    rows = [Row(("a-1", "submission_in_doubt", "it must be paid before it can be shipped"), ("a note",)), Row(("a-2", "New", ""))]
    assert lay_out_table(HEAD, rows, 30) == [
        "ORDER  STATE",
        "a-1    submission_in_doubt",
        "    why: it must be paid",
        "    before it can be shipped",
        "    a note",
        "a-2    New",
    ]


def test_a_word_that_is_wider_than_the_line_breaks_after_an_underscore() -> None:
    assert wrap("seen_fulfillment_in_progress", 20) == ["seen_fulfillment_in_", "progress"]
    assert wrap("to seen_fulfillment_in_progress", 20) == ["to seen_fulfillment_", "in_progress"]


def test_later_lines_of_a_paragraph_hang() -> None:
    assert wrap("facts: a = 1, b = 2", 14, " ", "  ") == [" facts: a =", "   1, b = 2"]


def test_a_table_without_rows_is_its_head() -> None:
    assert lay_out_table(HEAD, [], 80) == ["ORDER  STATE  WHY"]


WORDS = st.text("ab_", min_size=1, max_size=12)
CELLS = st.lists(WORDS, max_size=4).map(" ".join)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4), st.integers(16, 80))
def test_no_line_is_too_wide_and_no_letter_gets_lost(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = lay_out_table(("h", "i", "j"), [Row(row) for row in rows], width)
    assert max(map(len, lines)) <= width
    shown = "".join(re.sub(r"^    [hij]:| ", "", line) for line in lines[1:])
    assert sorted(shown) == sorted("".join(cell for row in rows for cell in row).replace(" ", ""))


@pytest.mark.parametrize("width", [10, 20, 40])
def test_words_that_fit_are_never_broken(width: int) -> None:
    text = "one two_three four five_six seven eight_nine ten"
    assert " ".join(wrap(text, width)).split() == text.split()
