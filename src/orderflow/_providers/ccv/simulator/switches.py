"""What CCV's pages leave open, as switches. Contains only: their names, types, defaults, and which page leaves each open.

Without a source, a default is an assumption. Pages: CCV D1 submit-order, D2 status, D3 start-order, D4 sales package, D5 terminal
package, D6 PSP; P1 to P4 are its Payment API, an analogy only.
"""

from __future__ import annotations

from typing import Literal

from orderflow.simulators import Switch, Switchboard

IdShape = Literal["orderId", "id", "reference", "bare", "location", "missing"]
ErrorBody = Literal["json", "text", "html", "empty"]


class CcvSwitches(Switchboard):
    """The switches of ``CcvSimulator``, with their defaults. All seconds are the simulator's clock's."""

    # who may call
    prefix: str = "/api/ordercompletion/reseller"
    auth_scheme: Literal["basic", "bearer"] = "basic"
    api_key: str | None = "simulated-key"
    forbidden_keys: tuple[str, ...] = ()
    poll_limit: int | None = None
    retry_after: bool = False
    # the request
    spelling: Literal["examples", "tables", "both"] = "examples"
    content_type: Literal["json", "any"] = "json"
    unknown_fields: Literal["ignored", "refused"] = "ignored"
    terminal_needs_package: bool = False
    allow_http_notifications: bool = False
    error_body: ErrorBody = "json"
    # the submit
    submit_status: Literal[200, 201] = 201
    id_shape: IdShape = "orderId"
    checkout_url: bool = False
    duplicate_submit: Literal["new", "same", "refuse", "by key"] = "new"
    # the status call
    visible_after: float = 0.0
    stale_seconds: float = 0.0
    null_reference: bool = False
    retention_seconds: float | None = None
    # notifications
    empty_filter_notifies_all: bool = True
    notify_creation: bool = False
    allow_list: tuple[str, ...] | None = None
    allow_list_match: Literal["url", "prefix", "host"] = "host"
    notification_timeout: float = 5.0
    # the life
    step_seconds: float = 1.0
    passes_incomplete: bool = True
    new_to_completed: bool = True
    rejection_closes: bool = True
    failed_is_end: bool = False
    cancel_while_waiting: bool = True
    cancel_after_activation: bool = True

    SWITCHES = (
        Switch("prefix", "Below which path are the calls? The pages do not even name the host.", "CCV D1 to D6; no page on base URLs"),
        Switch("auth_scheme", "How does a caller authenticate? 401 and 403 are listed, no scheme.", "CCV D1, D4 to D6; P1 by analogy"),
        Switch("api_key", "The key that is accepted; null: no key is needed.", "CCV P1, by analogy"),
        Switch("forbidden_keys", "Keys that are known but have no permission: 403.", "CCV D1 (403 without a reason)"),
        Switch("poll_limit", "How many status calls a minute are allowed? null: any number.", "no page; 429 in CCV's own PHP client"),
        Switch("retry_after", "Does a 429 say how long to wait?", "no page"),
        Switch(
            "spelling",
            "cartUrl or cartURL, excludingTax or exludingTax, ...: examples or tables?",
            "CCV D3, D4, D5 against themselves",
            "both",
        ),
        Switch("content_type", "Must a body be declared application/json?", "CCV D1, D3 to D6 (declared)", "any"),
        Switch("unknown_fields", "Is an undocumented field ignored or refused?", "no page"),
        Switch("terminal_needs_package", "Must addSalesPackage come before addTerminalPackage?", "CCV D5 against itself"),
        Switch("allow_http_notifications", "Is a notificationUrl with http accepted? CCV: https only.", "CCV D1 (documented: no)"),
        Switch("error_body", "What is the body of a 4xx or 5xx?", "no page; P5 by analogy"),
        Switch("submit_status", "200 'Order created' or 201 'Success'?", "CCV D1 lists both"),
        Switch("id_shape", "How does the submit's answer name the order?", "CCV D1 shows no body"),
        Switch("checkout_url", "Does the answer have a checkout URL when the customer gets no e-mail?", "not in CCV D1"),
        Switch(
            "duplicate_submit",
            "A second submit of the same reference: another order, the same order, 400, or by Idempotency-Reference?",
            "not in CCV D1; P4",
        ),
        Switch("visible_after", "Seconds after the submit in which the status is 404.", "CCV D2 (404 listed, not explained)"),
        Switch("stale_seconds", "Seconds in which a status call still answers the status before.", "not in CCV D2"),
        Switch("null_reference", "Is a missing externalReference absent or null?", "not in CCV D2"),
        Switch("retention_seconds", "Seconds after its end at which an order is 404; null: never.", "no retention in CCV D2"),
        Switch("empty_filter_notifies_all", "A notificationUrl without notifyOnStatus: all statuses or none?", "not in CCV D1"),
        Switch("notify_creation", "Is becoming Processing a change that is announced?", "not in CCV D1"),
        Switch("allow_list", "What CCV was given so that it lets requests out; null: everything. Other notifications are lost.", "CCV D1"),
        Switch("allow_list_match", "Does the allow-list hold URLs, prefixes, or hosts?", "not in CCV D1"),
        Switch("notification_timeout", "Real seconds that CCV waits for a notification to be answered.", "not in CCV D1"),
        Switch("step_seconds", "Seconds between two statuses of a life without a script.", "no page: no duration is documented"),
        Switch("passes_incomplete", "Does a complete order pass Incomplete, too?", "CCV D1, Processing against Incomplete"),
        Switch("new_to_completed", "Does an order without activation go from New to Completed, or over FulfillmentDone?", "not in CCV D1"),
        Switch(
            "rejection_closes",
            "Does rejected screening close the order by itself, or does it stay until an employee closes it?",
            "CCV D1 ('may')",
        ),
        Switch("failed_is_end", "Is Failed an end? It is starred as one, yet 'action required'.", "CCV D1 against itself"),
        Switch("cancel_while_waiting", "May an order that waits for payment or screening be canceled?", "CCV D1 ('remain until')"),
        Switch("cancel_after_activation", "May an order be canceled whose products are all activated?", "not in CCV D1"),
    )
