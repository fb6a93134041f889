"""What Connect's pages leave open, as switches. Contains only: their names, types, defaults, and which page leaves each open.

Without a source, a default is an assumption. Q1 to Q20 only number the open questions about Connect's pages.
"""

from __future__ import annotations

from typing import Literal

from orderflow.simulators import Switch, Switchboard


class ConnectSwitches(Switchboard):
    """The switches of ``ConnectSimulator``, with their defaults. All seconds are the simulator's clock's."""

    # who may call
    token_seconds: float = 12 * 3600.0
    token_credentials: Literal["any", "basic", "body", "query"] = "any"  # noqa: S105 - where they go, not what they are
    user_token_in_client_mode: bool = False
    # the request
    content_type: Literal["json", "any"] = "json"
    xml_unless_asked: bool = False
    absolute_urls: bool = True
    search_by_both: bool = False
    unknown_fields: Literal["ignored", "refused"] = "ignored"
    configured_methods: tuple[str, ...] | None = None
    duplicate_register: Literal["new", "same", "refuse"] = "new"
    # what status calls answer
    fulfilled_status: str = "fulfilled"
    stopped_status: str = "preliminary"
    transferred_status: str | None = None
    transfer_delay: float = 60.0
    order_id_as_text: bool = False
    unknown_order: Literal["400", "404", "empty"] = "400"
    # the way by URL
    fulfil_delay: float = 0.0
    prepaid_by_url: Literal["returned", "error page"] = "returned"
    prepaid_return: Literal["success", "bare"] = "success"
    return_query: Literal["kept", "dropped"] = "kept"
    return_allow_list: tuple[str, ...] | None = None
    error_url: Literal["used", "ignored"] = "used"
    pay_after_stop: bool = True
    lost_paid_after: float | None = None
    expire_after: float | None = None
    # the way by API
    api_methods: Literal["A3", "G4", "either"] = "either"
    unfit_method: Literal["200 ERROR", "400"] = "200 ERROR"
    ok_order_id: Literal["null", "number"] = "null"
    error_order_id: Literal["null", "number"] = "number"
    complete_twice: Literal["again", "same", "ERROR", "400"] = "again"
    callback_methods: Literal["sms", "all"] = "sms"
    callback_join: Literal["&", "?"] = "&"
    callback_https_only: bool = False
    # assigning
    assign_before_fulfilled: bool = False
    assign_twice: Literal["again", "refuse"] = "again"
    # limits
    retry_after: bool = False

    SWITCHES = (
        Switch("token_seconds", "How long does an access token live? 12 h by default, per client.", "Connect A10"),
        Switch("token_credentials", "Where do client id and secret go?", "Connect C1, C2, C4 (all seem accepted)"),
        Switch(
            "user_token_in_client_mode", "Does a client-mode call accept a user's token?", "Connect C1 (the other way round is refused)"
        ),
        Switch("content_type", "Must a body be declared application/json?", "Connect A3 (JSON); C2, C3 sent other things", "any"),
        Switch("xml_unless_asked", "Is the answer XML unless Accept names JSON?", "Connect C2, C3"),
        Switch("absolute_urls", "Is an address without a scheme refused?", "Connect A1 against its own samples (Q19)", False),
        Switch(
            "search_by_both", "May a search give both ids? 'Exactly one', yet the sample sends both.", "Connect R1 against itself", True
        ),
        Switch("unknown_fields", "Is an undocumented field ignored or refused?", "no page"),
        Switch("configured_methods", "Methods that support has set up, besides free and invoice; null: all.", "Connect A5"),
        Switch(
            "duplicate_register",
            "A second order of the same externalOrderId: another order, the same order, or 400?",
            "no page; R1: not unique (Q14)",
        ),
        Switch("fulfilled_status", "The status of a fulfilled order. No page shows one.", "Connect A1, A4 (Q1)"),
        Switch("stopped_status", "The status of an order whose payment was cancelled or failed.", "Connect A1, A4 (Q1)"),
        Switch("transferred_status", "The status of an order that went to the backend; null: as fulfilled.", "Connect A1, A4 (Q1)"),
        Switch("transfer_delay", "Seconds from fulfilled to transferred.", "no page"),
        Switch("order_id_as_text", "Is orderId text in answers? Integer in bodies, string in paths.", "Connect A3, A4 (Q13)"),
        Switch("unknown_order", "An unknown order: 400, 404, or 200 with no orders?", "Connect A4 lists 200, 400, 429, 500 (Q16)"),
        Switch(
            "fulfil_delay", "Seconds from paid or accepted to fulfilled: is it fulfilled before the browser returns?", "Connect A1 (Q6)"
        ),
        Switch("prepaid_by_url", "A prepaid order at the fulfillment URL: sent back, or to errorUrl?", "Connect A1 against itself (Q3)"),
        Switch("prepaid_return", "Is fulfillmentStatus added when a prepaid order is sent back?", "Connect A1 (Q3)"),
        Switch("return_query", "Is the query of our returnUrl kept?", "Connect A1 (Q9)"),
        Switch("return_allow_list", "Beginnings that a returnUrl may have; null: any.", "Connect A1 (Q9)"),
        Switch("error_url", "Is errorUrl used by the fulfillment URL?", "Connect C1, A11 (Q9)"),
        Switch("pay_after_stop", "May an order be paid at its URL after a cancel or error?", "Connect A1 (Q7)"),
        Switch("lost_paid_after", "Seconds after which a payment whose result was lost arrives; null: never.", "Connect A1 (Q10)"),
        Switch("expire_after", "Seconds after which an unpaid order is gone; null: never.", "no page (Q11)"),
        Switch("api_methods", "Which methods may be completed by API unpaid: A3's list, G4's, or either's?", "Connect A3 against G4 (Q2)"),
        Switch("unfit_method", "A method that the API does not accept: 200 with ERROR, or 400?", "no page (Q2)"),
        Switch("ok_order_id", "orderId of an OK answer.", "Connect A3 (Q5)"),
        Switch("error_order_id", "orderId of an ERROR answer.", "Connect A3 (Q5)"),
        Switch("complete_twice", "A second Complete order: done again, only the same answer, ERROR, or 400?", "no page (Q7)"),
        Switch("callback_methods", "Is callbackUrl called for sms only?", "Connect A3, G4 (Q8)"),
        Switch("callback_join", "Is the parameter added with & where the URL has a query, or always with a second '?'?", "no page (Q8)"),
        Switch("callback_https_only", "Is a callbackUrl with http refused?", "no page (Q8)"),
        Switch("assign_before_fulfilled", "May a user be assigned before the order is fulfilled?", "Connect A1 against R3 (Q12)"),
        Switch("assign_twice", "May a user be assigned a second time?", "no page (Q12)"),
        Switch("retry_after", "Does a 429 carry Retry-After besides its two headers?", "Connect A12 (Q16)"),
    )
