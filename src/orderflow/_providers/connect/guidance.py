"""What customers and operators are shown about a Connect order, state by state. Texts only; ``orderflow check`` compares them with the
lifecycle.

The documented look-ups are few (README.md beside this file): a search by externalOrderId needs a user's token (R1), and the list of order
statuses an orderId (A4). A person without either asks Connect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._providers.connect.adapter import external_order_id
from orderflow.model import Order

GUIDANCE: Final[Mapping[str, Guidance]] = {
    "drafted": Guidance(
        "We have your order. It is not placed yet.",
        "Nothing was sent to Connect, or what was sent was certainly not executed. The application may send register, or discard. Without "
        "either, the draft expires.",
    ),
    "registering": Guidance(
        "We are placing your order.",
        "A worker registers the order at Connect. If this lasts, look at what is owed and why.",
    ),
    "registration_in_doubt": Guidance(
        "We are checking whether your order was placed. Please do not order again; we will contact you.",
        "The answer to the registration was lost, so Connect may have this order or not. Search Connect for the externalOrderId "
        "{external_order_id}. If it is there, resolve with registration_resolved and its orderId as order_id. If it is not, "
        "registration_not_found leads back to drafted, and the application can send register again. If there are several, take the one "
        "with our amount. Or give the order up with registration_given_up.",
    ),
    "registered": Guidance(
        "Your order is placed. It is waiting for your payment or confirmation.",
        "Connect has the order, as orderId {provider_id}. It waits for the application to complete it by URL or API.",
    ),
    "fulfilling": Guidance(
        "We are waiting for you to complete the order.",
        "The customer was sent to Connect's page, or the API is being called. Polls of orderId {provider_id} find a payment in any case.",
    ),
    "fulfillment_in_doubt": Guidance(
        "We are checking whether your order is complete. If you got a payment request on your phone, you can answer it.",
        "The answer to complete_by_api was lost, so Connect may be completing orderId {provider_id} or not. If it is, a callback or a poll "
        "ends this. If not, fulfillment_not_found leads back to registered, and the application can complete the order again. There is no "
        "look-up of sms payments: ask the customer whether an sms came, and if one came, wait for the payment. Or give up with "
        "fulfillment_given_up: the order is then unknown, and a late payment is still found.",
    ),
    "awaiting_payment": Guidance(
        "We have sent a payment request to your phone.",
        "Connect accepted the sms request. It waits for the customer's payment; the callback and polls of orderId {provider_id} report it.",
    ),
    "confirming": Guidance(
        "We are checking your payment. This can take some minutes.",
        "The browser or a callback reported an outcome, which proves nothing. Polls of orderId {provider_id} look for the proof.",
    ),
    "paid": Guidance(
        "Your payment has arrived.",
        "A poll proved the payment of orderId {provider_id}. Fulfilment follows by itself.",
    ),
    "fulfilled": Guidance(
        "Your order is complete.",
        "A poll proved that orderId {provider_id} is fulfilled. If the order still needs a user, the application may send assign_user; "
        "assignment_given_up records that it will not.",
    ),
    "assigning": Guidance(
        "Your order is complete. We are connecting it to your account.",
        "A worker assigns the order to a user at Connect. If this lasts, look at what is owed and why.",
    ),
    "assignment_in_doubt": Guidance(
        "Your order is complete. We are checking whether it is connected to your account.",
        "The answer to the assignment was lost. Find out at Connect whether orderId {provider_id} has a user, or ask the customer whether "
        "the content opens. If so, resolve with assignment_resolved. If not, assignment_not_found leads back to fulfilled, and the "
        "application can send assign_user again; the customer may get a second message. Or give up with assignment_given_up.",
    ),
    "user_assigned": Guidance(
        "Your order is complete and connected to your account.",
        "Done: orderId {provider_id} is fulfilled and has a user.",
    ),
    "cancelled": Guidance(
        "The order was cancelled. You have not been charged, as far as we know.",
        "The customer cancelled, or never completed the order. Until the recovery window closes, polls of orderId {provider_id} still find "
        "a payment.",
    ),
    "error": Guidance(
        "The payment did not succeed.",
        "Connect reported an error. The messages of the order show its answers. Until the recovery window closes, polls of orderId "
        "{provider_id} still find a payment.",
    ),
    "unknown": Guidance(
        "We could not find out whether your payment succeeded. Please contact us before you order again.",
        "No proof came in time. Look at Connect for a payment of orderId {provider_id}. Until the recovery window closes, polls still find "
        "one.",
    ),
    "refused": Guidance(
        "The order could not be placed.",
        "Connect refused the registration. The messages of the order show its answer. The way on is a new order with correct data.",
    ),
    "abandoned": Guidance(
        "The order was not placed.",
        "A person gave the order up; the journal shows who and why. If Connect has externalOrderId {external_order_id} after all, it is "
        "not followed here.",
    ),
    "discarded": Guidance(
        "The order was not placed.",
        "The draft was discarded, or it expired. Connect has nothing of it. The way on is a new order.",
    ),
}


def _find_external_order_id(order: Order) -> str | None:
    """The externalOrderId that we sent; None for a redacted order, which keeps none."""
    return external_order_id(order) if "request" in order.snapshot.data else None


VALUES: Final[GuidanceValues] = {"external_order_id": _find_external_order_id}
