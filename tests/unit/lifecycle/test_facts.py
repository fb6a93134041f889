"""Facts and guards: which facts they read, when they are true, how they are shown."""

from __future__ import annotations

import re

import pytest

from orderflow._lifecycle.facts import Choice, Fact, Flag, Guard, valuations


class Shop:
    rich = Flag()
    young = Flag()
    mood = Fact("good", "bad", "odd")
    gloomy = mood.is_("bad", "odd")
    keen = rich & ~gloomy


EVERY = tuple((name, getattr(Shop, name).values) for name in ("rich", "young", "mood"))


@pytest.mark.parametrize(
    ("guard", "meaning"),
    [
        (Shop.rich, lambda f: f["rich"]),
        (~Shop.rich, lambda f: not f["rich"]),
        (Shop.rich & Shop.young, lambda f: f["rich"] and f["young"]),
        (Shop.rich | Shop.young, lambda f: f["rich"] or f["young"]),
        (Shop.mood.is_("good"), lambda f: f["mood"] == "good"),
        (Shop.gloomy, lambda f: f["mood"] in ("bad", "odd")),
        (~(Shop.rich & Shop.gloomy) | Shop.young, lambda f: not (f["rich"] and f["mood"] != "good") or f["young"]),
    ],
    ids=lambda value: value.text if isinstance(value, Guard) else "",
)
def test_a_guard_is_true_under_the_facts_that_its_expression_names(guard, meaning):
    every = list(valuations(EVERY))
    assert len(every) == 2 * 2 * 3
    assert [guard.holds(facts) for facts in every] == [meaning(facts) for facts in every]


@pytest.mark.parametrize(
    ("guard", "text"),
    [
        (Shop.rich, "rich"),
        (~Shop.rich, "not rich"),
        (Shop.rich & ~Shop.young, "rich and not young"),
        (Shop.rich | Shop.young, "(rich or young)"),
        (~(Shop.rich & Shop.young), "not (rich and young)"),
        (~(Shop.rich | Shop.young), "not (rich or young)"),
        (Shop.mood.is_("bad", "odd") & Shop.rich, "mood = bad/odd and rich"),
        (Shop.keen, "keen"),
        (~Shop.keen, "not keen"),
        (Shop.rich & Shop.gloomy, "rich and gloomy"),
    ],
)
def test_a_guard_is_shown_without_ambiguity(guard, text):
    assert guard.text == text


def test_a_guard_names_the_facts_it_reads_through_named_guards():
    assert Shop.keen.facts() == {Shop.rich, Shop.mood}
    assert Shop.young.facts() == {Shop.young}


def test_a_guard_names_the_values_that_its_facts_cannot_have():
    assert (Shop.rich & ~Shop.mood.is_("bad", "sad")).unknown_values() == ((Shop.mood, "sad"),)
    assert Shop.keen.unknown_values() == ()


@pytest.mark.parametrize(
    "expression",
    ["rich and young", "rich or young", "not rich", "gloomy and rich", "(rich & young) or gloomy", "mood and rich", "rich if young else 1"],
)
def test_and_or_not_on_a_guard_raise_for_python_would_drop_half_of_it(expression):
    with pytest.raises(TypeError, match=re.escape("combine guards with & | ~, not with and, or, not")):
        eval(expression, dict(vars(Shop)))


@pytest.mark.parametrize("operand", ["True", "'good'", "mood", "mood == 'good'", "None"])
def test_a_guard_is_combined_with_guards_only(operand):
    for combined in (f"rich & ({operand})", f"rich | ({operand})"):
        with pytest.raises(TypeError, match=r"is no guard: ask for the value of a fact with fact.is_\(value\), not with =="):
            eval(combined, dict(vars(Shop)))


def test_no_facts_have_one_valuation():
    assert list(valuations(())) == [{}]


def test_a_choice_answers_every_valuation_of_what_it_reads_and_ignores_the_rest():
    choice = Choice((("rich", (False, True)),), lambda facts: "yes" if facts["rich"] else "no")
    assert choice.reads == ("rich",)
    assert choice.pick({"rich": True, "mood": "bad"}) == "yes"
    assert choice.pick({"rich": False, "mood": "bad"}) == "no"
    assert Choice((), lambda facts: "always").pick({"rich": True}) == "always"
