"""Every error survives being copied and pickled: pools of processes, pytest-xdist and ``concurrent.futures`` carry them."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Any

import pytest

import orderflow
from orderflow._inputs import get_text
from orderflow._lifecycle.declare import Flag, Lifecycle, State, assumed, edge
from orderflow.errors import DeclarationError, DeclarationProblem, InvalidInput, OrderflowError
from orderflow.model import Cause, Origin


def kinds() -> Iterator[type[OrderflowError]]:
    """Every class of error that any module of orderflow declares."""
    for module in pkgutil.walk_packages(orderflow.__path__, "orderflow."):
        import_module(module.name)

    def below(kind: type[OrderflowError]) -> Iterator[type[OrderflowError]]:
        yield kind
        for one in kind.__subclasses__():
            yield from below(one)

    return (kind for kind in dict.fromkeys(below(OrderflowError)) if kind.__module__.startswith("orderflow."))


GIVEN = {
    "str": "a 'word'",
    "float": 1.5,
    "int": 3,
    "tuple[str, ...]": ("one", "two"),
    "tuple[Any, ...]": (),
    "tuple[DeclarationProblem, ...]": (DeclarationProblem("dead-end", "opened", "no edge leaves it", "add one", "parcel.py", 7),),
}


def made(kind: type[OrderflowError]) -> OrderflowError:
    """One of the kind, each argument of its constructor another value."""
    if kind.__init__ is Exception.__init__:
        return kind("field: a reason", 7)
    parameters = inspect.signature(kind).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    given = {parameter.name: GIVEN[parameter.annotation] for parameter in parameters}
    error = kind(*(given[name] for name in given if name not in named), **{name: given[name] for name in named})
    error.add_note("added by a caller")
    return error


COPIES: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy} | {
    f"pickle {protocol}": lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}
KINDS = tuple(kinds())


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_copy_is_the_same_error(kind: type[OrderflowError], how: str) -> None:
    error = made(kind)
    found = COPIES[how](error)
    assert type(found) is kind
    assert (str(found), repr(found), found.args, vars(found)) == (str(error), repr(error), error.args, vars(error))


def test_none_is_left_out() -> None:
    """Of the documented tree, and of the modules that declare errors of their own."""
    names = {kind.__name__ for kind in KINDS}
    assert {"InvalidInput", "OutOfReach", "SchemaError", "ConfigurationError", "NotOpen", "Nondeterministic"} <= names
    assert len(names) == len(KINDS)


def test_an_error_comes_out_of_a_pool_of_processes() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(InvalidInput) as raised:
        pool.submit(get_text, {}, "order_id").result(60)
    assert (raised.value.field, raised.value.reason) == ("order_id", "required, as non-empty text")


def test_a_declaration_error_travels_without_the_tables_that_only_check_looks_at() -> None:
    with pytest.raises(DeclarationError) as raised:

        class Opaque(Lifecycle, name="opaque"):
            a = State(initial=True)
            b = State(final=True)
            flag = Flag()
            go = edge(Origin.COMMAND, a.to(b), Cause.US, assumed("a test"), "go", cond=lambda facts: facts["no such fact"])

    assert len(raised.value.tables_for_check) == 2
    for copied in COPIES.values():
        found = copied(raised.value)
        assert (str(found), found.problems, found.tables_for_check) == (str(raised.value), raised.value.problems, ())
        assert [problem.rule for problem in found.problems] == ["guard-unresolved"]
