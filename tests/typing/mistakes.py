"""Never run: mistakes that both type checkers must refuse, one a line. An ignore that is not needed is an error, so each line must fail."""

# fmt: off
from __future__ import annotations

from orderflow import Ccv, Connect, Orderflow, StateEntered, SyncOrderflow, sync
from orderflow.provider import BaseProvider, Name, Timing

connect = Connect("https://api.example/capi", "https://login.example/user", "id", "secret")
ccv = Ccv("https://ccv.example", "key")


async def grant_access(entered: StateEntered) -> None:
    """A listener."""


class Nameless(BaseProvider):
    """Its name is a plain text, and it lacks the methods of a provider."""

    name = "nameless"


async def wrong_providers(flow: Orderflow, text: str) -> None:
    """A provider that does not exist, or that a type checker cannot know."""
    Orderflow("sqlite://", ["conect"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Orderflow("sqlite://", [text])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Orderflow("sqlite://", [Nameless()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await flow.create("conect", key="k", order={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.create(text, key="k", order={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.create(Nameless(), key="k", order={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.orders(provider="conect")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.remove_listener("conect", "fulfilled", actor="anna", reason="r")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.states("conect")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.on_entered("conect", "fulfilled", grant_access)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.prune(older_than=1, provider="conect")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_states(flow: Orderflow, text: str) -> None:
    """A state that does not exist, or is the other provider's."""
    flow.on_entered(connect, "fullfilled", grant_access)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.on_entered(connect, "Completed", grant_access)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.on_entered("ccv", "fulfilled", grant_access)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.on_flagged(grant_access)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    flow.on_entered(ccv, text, grant_access)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.wait("o", "fullfilled")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await flow.wait("o", until={"fulfilled", "canceled"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await flow.wait("o", text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await flow.wait("o", ["fulfilled", text])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await flow.orders(state="fullfilled")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.orders(provider=connect, state="Completed")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.orders(provider="ccv", state="paid")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.override("o", "fullfilled", actor="anna", reason="r", version=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await flow.remove_listener(ccv, "fulfilled", actor="anna", reason="r")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def wrong_commands(flow: Orderflow, text: str) -> None:
    """A command or an operator event that does not exist."""
    await flow.send("o", "regster")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.send("o", "registration_resolved")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.send("o", text)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.resolve("o", "register", actor="anna", reason="r")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.resolve("o", "registration_resolve", actor="anna", reason="r", order_id="14")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def wrong_arguments(flow: Orderflow) -> None:
    """An argument that does not exist, is missing, or has the wrong type."""
    await flow.create(connect, key="k", ordr={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.create(connect, key="k")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.create(connect, order={})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await flow.create(connect, key="k", order={}, products=[])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.create("connect", key="k", order={}, user_mode="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.create(ccv, key="k", order={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.create("ccv", key="k", order={}, products=[{}], pays_nov=True)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.create(Name("warehouse"), items=[])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await flow.send("o", "complete_by_url")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.send("o", "complete_by_url", retrun_url="https://shop.example/")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.send("o", "complete_by_url", return_url=7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.send("o", "complete_by_api", return_url="https://shop.example/")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.send("o", "assign_user", credential="a@b.example", link_lifetime="long")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.send("o", "submit", prio=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.send("o", "submit", key=7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.resolve("o", "registration_resolved", actor="anna", reason="r")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.resolve("o", "registration_resolved", actor="anna", reason="r", order_id=14)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.resolve("o", "submission_resolved", actor="anna", reason="r", id="A-1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await flow.resolve("o", "submission_given_up", actor="anna", reason="r", order_id="A-1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await flow.resolve("o", "submission_given_up", actor="anna")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await flow.override("o", "fulfilled", actor="anna", reason="r")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await flow.wait("o", "fulfilled", since="order_it")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    (await flow.view("o")).settled = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    await flow.wait("o", "fulfilled", timout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong_without_await(flow: SyncOrderflow) -> None:
    """The same in the API without ``await``."""
    sync("sqlite://", ["conect"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    sync("sqlite://", [connect], wrok=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sync("sqlite://", [connect], grace="long")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SyncOrderflow("sqlite://", [connect], poll=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    flow.create("conect", key="k", order={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.create(connect, key="k", ordr={})  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    flow.send("o", "regster")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.send("o", "complete_by_url", retrun_url="https://shop.example/")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    flow.resolve("o", "registration_resolve", actor="anna", reason="r")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.override("o", "fullfilled", actor="anna", reason="r", version=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    flow.wait("o", "fullfilled")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    flow.view(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    flow.wait("o", {"fullfilled"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    flow.orders(provider=connect, state="Completed")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.states("conect")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.on_entered(connect, "Completed", grant_access)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.remove_listener("ccv", "fulfilled", actor="anna", reason="r")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.prune(older_than=1, provider="conect")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    flow.prune(olderthan=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong_settings() -> None:
    """A setting that does not exist or has the wrong type."""
    Connect("https://api.example", "https://login.example", "id", "secret", fullfilled_literals=["x"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Connect("https://api.example", "https://login.example", "id", "secret", credentials_in="header")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Connect("https://api.example", "https://login.example", "id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Ccv("https://ccv.example", "key", notifications="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Timing({}, poll_frist=2.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
