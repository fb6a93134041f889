"""Connect's magic values: tags in the customer's e-mail, last digits of the phone. Contains only: the meaning of each.

``kari+cancel@example.org``; tags combine: ``kari+unknown+twice@example.org``. The phone counts where the order is paid by sms.
An unknown tag asks for nothing: e-mail addresses have tags of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orderflow._providers.connect.wire import OrderRequest
from orderflow.simulators import Magic

UNKNOWN_STATUS: Final = "inTransfer"
"""Made up: an orderStatus that no page shows."""

TAGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "success": {"customer": "success"},
    "cancel": {"customer": "cancel"},
    "error": {"customer": "error"},
    "unknown": {"customer": "unknown", "paid_after": 900.0},
    "unknown-forever": {"customer": "unknown"},
    "abandon": {"customer": "abandon"},
    "late": {"customer": "late"},
    "forged": {"customer": "forged"},
    "cancel-paid": {"customer": "cancel", "paid_after": 900.0},
    "twice": {"return_twice": True},
    "prepaid": {"as_prepaid": True},
    "bare": {"bare_return": True, "as_prepaid": True},
    "errorurl": {"error_page": True},
    "delay": {"fulfil_delay": 60.0},
    "never": {"fulfil_never": True},
    "unknown-status": {"fulfilled_status": UNKNOWN_STATUS},
    "twin": {"twin": True},
    "noaccount": {"is_new_user": True, "password_set": False},
    "nopassword": {"is_new_user": False, "password_set": False},
    "hasaccount": {"is_new_user": False, "password_set": True},
    "sms00": {"pay_outcome": "success"},
    "sms01": {"pay_outcome": "failed"},
    "sms02": {"api_answer": "ERROR"},
    "sms03": {"callback": "never"},
    "sms04": {"callback": "twice"},
    "sms05": {"callback": "early"},
    "sms06": {"answer_order_id": "null"},
    "sms07": {"answer_order_id": "number"},
    "sms08": {"pay_outcome": "never"},
    "sms09": {"pay_delay": 60.0},
}

_MAIL = "customer's e-mail"
_PHONE = "customer's phone, sms"
_CLIENT = "client id"
MAGIC: Final = (
    Magic("(none)", _MAIL, "the payment page is shown", "what its buttons do"),
    Magic("+success", _MAIL, "paid at once, fulfillmentStatus=success", "the happy path"),
    Magic("+cancel", _MAIL, "fulfillmentStatus=cancel", "the order stops"),
    Magic("+error", _MAIL, "fulfillmentStatus=error", "the order stops"),
    Magic("+unknown", _MAIL, "fulfillmentStatus=unknown; paid after 15 min", "polling, not guessing"),
    Magic("+unknown-forever", _MAIL, "fulfillmentStatus=unknown, for ever", "stuck orders are found"),
    Magic("+cancel-paid", _MAIL, "fulfillmentStatus=cancel; paid after 15 min", "a proof overrules a claim"),
    Magic("+abandon", _MAIL, "the customer never returns", "the redirect times out"),
    Magic("+late", _MAIL, "paid after 30 min, and only then returns with success", "late success on an expired order"),
    Magic("+forged", _MAIL, "the browser says success, nothing was paid", "check before granting"),
    Magic("+twice", _MAIL, "success (or +cancel+twice: cancel), and the returnUrl is hit again", "an idempotent return"),
    Magic("+prepaid", _MAIL, "sent back at once, no payment page", "step 7 is skipped"),
    Magic("+bare", _MAIL, "sent back at once, without fulfillmentStatus", "no parameter claims nothing"),
    Magic("+errorurl", _MAIL, "the fulfillment URL leads to errorUrl", "an error page claims an error"),
    Magic("+delay", _MAIL, "fulfilled 60 s after it was paid", "success while still preliminary"),
    Magic("+never", _MAIL, "paid, preliminary for ever", "a proof that never comes"),
    Magic("+unknown-status", _MAIL, f"status calls answer {UNKNOWN_STATUS}, which no page shows", "unknown statuses are flagged"),
    Magic("+twin", _MAIL, "Register order makes two orders of one externalOrderId", "a search may find two"),
    Magic("+noaccount", _MAIL, "Assign user: a new user without a password", "step 9"),
    Magic("+nopassword", _MAIL, "Assign user: a known user without a password", "step 9"),
    Magic("+hasaccount", _MAIL, "Assign user: a known user with a password", "step 9"),
    Magic("..00", _PHONE, "OK, later the callback success", "the happy path"),
    Magic("..01", _PHONE, "OK, later the callback failed", "sms refused"),
    Magic("..02", _PHONE, "200 with ERROR and errorMessage", "200 is not success"),
    Magic("..03", _PHONE, "paid, no callback ever", "polling"),
    Magic("..04", _PHONE, "the callback comes twice", "deduplication"),
    Magic("..05", _PHONE, "the callback comes before the answer", "a race"),
    Magic("..06", _PHONE, "OK with orderId null", "the page's odd field"),
    Magic("..07", _PHONE, "OK with orderId a number", "the page's odd field"),
    Magic("..08", _PHONE, "OK, never paid", "a timeout"),
    Magic("..09", _PHONE, "OK, paid after 60 s", "waiting"),
    Magic("sim-bad", _CLIENT, "no token: 401 invalid_client", "authentication"),
    Magic("sim-short", _CLIENT, "a token that lives 5 s", "refresh"),
    Magic("sim-revoked", _CLIENT, "a token that the API refuses: 401 invalid_token", "one refresh, not a loop"),
)


def tags_of(request: OrderRequest) -> tuple[str, ...]:
    """The tags in the payer's e-mail and phone."""
    payer = request.payer
    if payer is None:
        return ()
    phone = (payer.phone_numbers or ("",))[0]
    digits = (f"sms{phone[-2:]}",) if request.payment_method == "sms" else ()
    return (*mail_tags((payer.emails or ("",))[0]), *(tag for tag in digits if tag in TAGS))


def mail_tags(address: str) -> tuple[str, ...]:
    """The tags of an e-mail address."""
    local, at, _ = address.rpartition("@")
    return tuple(local.split("+")[1:]) if at else ()


def fields_of(tags: Iterable[str]) -> dict[str, Any]:
    """What the tags ask for, as fields of ``Outcome``; of several for one field, the last."""
    fields: dict[str, Any] = {}
    for tag in tags:
        fields |= TAGS.get(tag, {})
    if "return_twice" in fields:
        fields.setdefault("customer", "success")
    return fields
