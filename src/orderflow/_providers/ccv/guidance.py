"""What customers and operators are shown about a CCV order, state by state. Texts only; ``orderflow check`` compares them with the
lifecycle.

CCV documents no call that lists or finds orders (D1, D2). So in a doubt, a person asks CCV. The customer is the merchant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._providers.ccv.adapter import external_reference
from orderflow.model import Order

GUIDANCE: Final[Mapping[str, Guidance]] = {
    "drafted": Guidance(
        "We have your order. It is not placed yet.",
        "Nothing was ordered at CCV. The application may send submit, or discard. Without either, the draft expires.",
    ),
    "configuring": Guidance(
        "We are placing your order.",
        "A worker configures the order. CCV stores nothing before the submit.",
    ),
    "submitting": Guidance(
        "We are placing your order.",
        "A worker submits the order to CCV. If this lasts, look at what is owed and why.",
    ),
    "submission_in_doubt": Guidance(
        "We are checking whether your order was placed. Please do not order again; we will contact you.",
        "The submit has no usable answer, so CCV may have this order or not, and CCV has no search. Look at the messages of the order "
        "first: an answer may hold the id. Otherwise ask CCV for an order with the externalReference {external_reference}. If there is "
        "one, resolve with submission_resolved and its order id as order_id. If CCV knows none, submission_not_found leads back to "
        "drafted, and the application can send submit again. Or give the order up with submission_given_up.",
    ),
    "Processing": Guidance(
        "CCV is processing your order.",
        "CCV has the order, as {provider_id}, and processes it.",
    ),
    "Incomplete": Guidance(
        "CCV needs more data from you. Please complete the order at CCV.",
        "Required fields of {provider_id} are missing. CCV waits for the merchant.",
    ),
    "AwaitingPayment": Guidance(
        "CCV is waiting for your payment.",
        "{provider_id} waits for the merchant's payment. It stays here until it is paid or all payments have failed.",
    ),
    "Screening": Guidance(
        "CCV is checking your application. CCV may ask you for documents.",
        "CCV screens the merchant of {provider_id}. It ends in New or Closed. Requests for documents are not visible here.",
    ),
    "New": Guidance(
        "CCV has accepted your order and is preparing it.",
        "{provider_id} is ready for a CCV employee.",
    ),
    "ErpInProgress": Guidance(
        "CCV is preparing your order.",
        "CCV calls this status of {provider_id} reserved. Ask CCV what it means if the order stays here.",
    ),
    "FulfillmentInProgress": Guidance(
        "Your products are being activated.",
        "At least one product of {provider_id} is not active yet.",
    ),
    "FulfillmentDone": Guidance(
        "All products of your order are active.",
        "All products of {provider_id} are active. CCV completes the order.",
    ),
    "Completed": Guidance("Your order is complete.", "Done: {provider_id} is complete at CCV."),
    "Closed": Guidance(
        "CCV has closed your order. Please contact us or CCV.",
        "A CCV employee closed {provider_id}, or its screening was rejected. A payment is not returned from here: ask CCV.",
    ),
    "Canceled": Guidance(
        "Your order was cancelled.",
        "CCV cancelled {provider_id} at the merchant's request. A payment is not returned from here: ask CCV.",
    ),
    "Failed": Guidance(
        "Something went wrong with your order. We are looking into it with CCV.",
        "A payment failed, or a technical error happened. CCV says that an employee must act: ask CCV about {provider_id}. Until the "
        "recovery window closes, polls see when it goes on.",
    ),
    "refused": Guidance(
        "The order could not be placed.",
        "CCV refused the order. The messages of the order show its answer. The way on is a new order with correct data.",
    ),
    "abandoned": Guidance(
        "The order was not placed.",
        "A person gave the order up; the journal shows who and why. If CCV has externalReference {external_reference} after all, it is not "
        "followed here.",
    ),
    "discarded": Guidance(
        "The order was not placed.",
        "The draft was discarded, or it expired. CCV has nothing of it. The way on is a new order.",
    ),
}


def _find_external_reference(order: Order) -> str | None:
    """The externalReference that we sent; None for a redacted order, which keeps none."""
    return external_reference(order) if "start_order" in order.snapshot.data else None


VALUES: Final[GuidanceValues] = {"external_reference": _find_external_reference}
