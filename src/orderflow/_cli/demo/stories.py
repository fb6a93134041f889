"""The three orders that the demo explains, with a text for each step. A word of orderflow is explained where it first appears."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class Story:
    """How one scenario is explained.

    Attributes:
        scenario: its name.
        steps: by the state that a step leads to, what happens in it.
    """

    scenario: str
    title: str
    opening: str
    steps: Mapping[str, str]
    closing: str


_FORGED_REDIRECT = Story(
    "success forged while unpaid",
    "A forged redirect grants nothing",
    "A customer is sent to Connect's payment page and does not pay. Then someone opens our return URL with the status"
    ' "success" typed into it.',
    {
        "registering": 'Your service sends the command "register". The order and the call that is now owed are stored in one'
        " transaction; then a worker makes the call.",
        "registered": "Connect answers the call. The answer to a call of ours is a reply.",
        "fulfilling": "Your service sends the customer's browser to Connect's payment page.",
        "confirming": 'A browser returns with "success". Anyone can type that URL, so this is a claim: it proves nothing. It only'
        " makes orderflow poll sooner, which means: ask Connect itself, with your credentials.",
        "unknown": "No poll found a payment, and the deadline has passed. A deadline is an event of the clock.",
    },
    'The order was never "paid" or "fulfilled", so your code for those states did not run.',
)

_LOST_ANSWER = Story(
    "register answer lost",
    "A lost answer ends in doubt, and the call is not sent twice",
    "Connect registers an order, but the connection breaks before its answer arrives.",
    {
        "registering": "The command, and the call that is owed.",
        "registration_in_doubt": "The request was sent, and no answer came. Connect may have the order or not: it is in doubt. To"
        " send the request again could register the order twice, so orderflow does not.",
    },
    "The simulator counted one registration. Now a person asks Connect, and records what was found: orderflow orders resolve ORDER"
    " registration_resolved, registration_not_found or registration_given_up.",
)

_LATE_PAYMENT = Story(
    "unknown, then proven by a later poll",
    "A payment that is proven late still counts",
    "The customer pays, but the browser returns without a clear status, and Connect shows the payment only after our deadline.",
    {
        "registering": "The command, and the call that is owed.",
        "registered": "The reply.",
        "fulfilling": "The customer is on the payment page.",
        "confirming": "The browser returns and says nothing clear: again only a claim.",
        "unknown": 'The deadline passes without proof. But "unknown" is a provisional end: orderflow goes on polling for a while.',
        "paid": 'A poll finds the order fulfilled. What Connect answers to a poll is an observation, and it is proof. Before "fulfilled"'
        ' an order must be "paid"; no poll saw it there, so this step is inferred.',
        "fulfilled": 'The same poll proves "fulfilled". Now your code for that state runs.',
    },
    "The end was corrected by proof, and the journal shows how.",
)

STORIES = (_FORGED_REDIRECT, _LOST_ANSWER, _LATE_PAYMENT)
