"""The life of a Connect order. READ THIS FIRST.

Registered once, completed by the fulfillment URL (the browser) or by the fulfillment API, proven by an authenticated status read, then perhaps
assigned to a user. Page tags (A1, A3, ...) are those of the dossier that README.md of this room summarises. Kept by hand as a table.

A redirect or callback is a claim: it moves the order to ``confirming`` at most. ``paid`` and ``fulfilled`` are entered on a read (or by an operator).
``cancelled``, ``error`` and ``unknown`` are provisional: the old URL can still be paid, so a later proof overrules them until the window closes.
"""
# fmt: off

from orderflow.lifecycle.declare import Flag, Lifecycle, State, assumed, documented, edge, inferred, once, reading, repeatable
from orderflow.lifecycle.facts import Fact
from orderflow.vocabulary import Cause, Origin

command, reply, observation, claim, clock, operator = Origin
customer, connect, employee, us, time = Cause


class ConnectLifecycle(Lifecycle, name="connect"):
    # ── states ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
    drafted               = State(initial=True)
    registering           = State(budget="registering_budget")
    registration_in_doubt = State(budget="in_doubt_budget")
    registered            = State(deadlines={"never_completed": "completion_timeout"})
    fulfilling            = State(deadlines={"nobody_came": "return_timeout"})
    fulfillment_in_doubt  = State(budget="in_doubt_budget")
    awaiting_payment      = State(deadlines={"nobody_came": "return_timeout"})
    confirming            = State(deadlines={"cancel_grace_over": "cancel_grace", "no_proof": "proof_timeout"})
    paid                  = State(proven=True, budget="paid_budget")
    fulfilled             = State(proven=True, budget="fulfilled_budget")
    assigning             = State(budget="assigning_budget")
    assignment_in_doubt   = State(budget="in_doubt_budget")
    user_assigned         = State(proven=True, final=True)
    cancelled             = State(provisional=True, deadlines={"recovery_window_closed": "recovery_window"})
    payment_error         = State("error", provisional=True, deadlines={"recovery_window_closed": "recovery_window"})
    outcome_unknown       = State("unknown", provisional=True, deadlines={"recovery_window_closed": "recovery_window"})
    refused               = State(final=True)
    abandoned             = State(final=True)

    # ── facts, guards, effects ──────────────────────────────────────────────────────────────────────────────────────────────
    by_sms      = Flag()                                             # method sms, not prepaid: the customer pays on the phone
    to_pay      = Flag()                                             # not prepaid, and neither invoice nor free
    url_allowed = Flag()                                             # the method table's word for this order (methods.py)
    api_allowed = Flag()
    user_mode   = Flag()                                             # registered with a user's token
    needs_user  = Flag()                                             # digital content, and nobody was logged in
    way         = Fact("none", "url", "api")
    claimed     = Fact("none", "success", "cancel", "error", "unknown")  # what browser or callback said last
    grace       = Fact("running", "over")                            # a claimed cancel waits for a read after the grace
    window      = Fact("open", "closed")                             # whether proof may still overrule a provisional end
    by_url        = way.is_("url")
    sms_in_flight = by_sms & way.is_("api")
    register_order  = once(kind="registration")     # no idempotency key; client mode has no look-up by our own id
    fulfill_by_sms  = once(kind="fulfillment")      # a second call might ask the customer to pay twice
    fulfill_order   = repeatable(kind="fulfillment")
    assign_to_user  = once(kind="assignment")       # may send a message and create an account
    search_order    = repeatable()                  # user mode only: Search order details by externalOrderId

    # ── registering ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    register                 = edge(command, drafted.to(registering), effects=[register_order], cause=us, evidence=documented("A5, A6"), label="register")
    order_registered         = edge(reply, registered.from_(registering, registration_in_doubt), cause=connect, evidence=documented("A6 step 4"), label="registered")
    registration_refused     = edge(reply, refused.from_(registering, registration_in_doubt), cause=connect, evidence=documented("A5: 400"), label="refused")
    registration_undelivered = edge(reply, registering.to(refused), cause=us, evidence=inferred("A12: never executed"), label="never sent")
    registration_answer_lost = (
        edge(reply, registering.to(registration_in_doubt), cond=user_mode, effects=[search_order], cause=us, evidence=inferred("A5: no duplicate detection; R1: search"), label="answer lost")
      | edge(reply, registering.to(registration_in_doubt), cond=~user_mode, cause=us, evidence=inferred("A5: no duplicate detection"), label="answer lost"))
    registration_found       = edge(reply, registration_in_doubt.to(registered), cond=user_mode, cause=us, evidence=documented("R1: one hit by externalOrderId"), label="found by search")
    registration_resolved    = edge(operator, registration_in_doubt.to(registered), cause=employee, evidence=assumed("R1: a person names the orderId"), label="found by a person")
    registration_given_up    = edge(operator, registration_in_doubt.to(abandoned), cause=employee, evidence=assumed("R1: a person found none"), label="given up")

    # ── completing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    complete_by_url = edge(command, registered.to(fulfilling), cond=url_allowed, sets={"way": "url"}, cause=us, evidence=documented("A1 step 6"), label="browser sent to the URL")
    complete_by_api = (
        edge(command, registered.to(fulfilling), cond=api_allowed & by_sms, sets={"way": "api"}, effects=[fulfill_by_sms], cause=us, evidence=documented("A3, G4"), label="sms requested")
      | edge(command, registered.to(fulfilling), cond=api_allowed & ~by_sms, sets={"way": "api"}, effects=[fulfill_order], cause=us, evidence=documented("A3, G4"), label="API called"))
    never_completed = edge(clock, registered.to(cancelled), cause=time, evidence=assumed("our deadline; Connect documents no expiry"), label="never completed")
    fulfillment_accepted = (
        edge(reply, fulfilling.to(awaiting_payment), cond=by_sms, cause=connect, evidence=documented("A3: OK = message sent, not paid"), label="sms sent")
      | edge(reply, fulfilling.to(confirming), cond=~by_sms, cause=connect, evidence=documented("A3: OK"), label="accepted")
      | edge(reply, fulfillment_in_doubt.to(awaiting_payment), cause=connect, evidence=documented("A3: OK, late"), label="late answer"))
    fulfillment_refused = (
        edge(reply, payment_error.from_(fulfilling, fulfillment_in_doubt), cause=connect, evidence=documented("A3: 200 with ERROR, 400"), label="refused")
      | edge(reply, confirming.to(payment_error), cond=~by_url, cause=connect, evidence=inferred("A3: the callback came before the answer"), label="refused"))
    fulfillment_undelivered = edge(reply, fulfilling.to(registered), cond=~by_url, sets={"way": "none"}, cause=us, evidence=inferred("A12: never executed"), label="never sent")
    fulfillment_answer_lost = edge(reply, fulfilling.to(fulfillment_in_doubt), cond=sms_in_flight, cause=us, evidence=inferred("A3: no word on calling twice"), label="answer lost")
    fulfillment_given_up    = edge(operator, fulfillment_in_doubt.to(outcome_unknown), cause=employee, evidence=assumed("no look-up of an sms payment"), label="given up")

    # ── claims: forgeable, so they only lead to confirming ──────────────────────────────────────────────────────────────────
    returned_success = (
        edge(claim, fulfilling.to(confirming), cond=by_url, sets={"claimed": "success"}, cause=customer, evidence=documented("A1 step 7"), label="returned: success")
      | edge(claim, confirming.to(confirming), cond=by_url & claimed.is_("cancel", "error"), sets={"claimed": "success"}, cause=customer, evidence=inferred("A1 step 7, later"), label="success after all"))
    returned_cancel = (
        edge(claim, fulfilling.to(confirming), cond=by_url, sets={"claimed": "cancel"}, cause=customer, evidence=documented("A1 step 7"), label="returned: cancel")
      | edge(claim, confirming.to(confirming), cond=by_url & claimed.is_("none"), sets={"claimed": "cancel"}, cause=customer, evidence=inferred("A1 step 7, later"), label="cancel"))
    returned_error = (
        edge(claim, fulfilling.to(confirming), cond=by_url, sets={"claimed": "error"}, cause=connect, evidence=documented("A1 step 7; A11: errorUrl"), label="returned: error")
      | edge(claim, confirming.to(confirming), cond=by_url & claimed.is_("none"), sets={"claimed": "error"}, cause=connect, evidence=inferred("A1 step 7, later"), label="error"))
    returned_unclear = edge(claim, fulfilling.to(confirming), cond=by_url, sets={"claimed": "unknown"}, cause=connect, evidence=documented("A1 step 7: unknown"), label="returned: unclear")
    returned_bare    = edge(claim, fulfilling.to(confirming), cond=by_url, sets={"claimed": "none"}, cause=customer, evidence=inferred("A1 step 6: prepaid, parameter not promised"), label="returned, nothing said")
    called_back_success = (
        edge(claim, confirming.from_(awaiting_payment, fulfillment_in_doubt), sets={"claimed": "success"}, cause=connect, evidence=documented("A3, G4"), label="callback: success")
      | edge(claim, fulfilling.to(confirming), cond=sms_in_flight, sets={"claimed": "success"}, cause=connect, evidence=inferred("A3, before the answer"), label="callback: success")
      | edge(claim, confirming.to(confirming), cond=by_sms & claimed.is_("error"), sets={"claimed": "success"}, cause=connect, evidence=inferred("A3, later"), label="success after all"))
    called_back_failed = (
        edge(claim, confirming.from_(awaiting_payment, fulfillment_in_doubt), sets={"claimed": "error"}, cause=connect, evidence=documented("A3, G4"), label="callback: failed")
      | edge(claim, fulfilling.to(confirming), cond=sms_in_flight, sets={"claimed": "error"}, cause=connect, evidence=inferred("A3, before the answer"), label="callback: failed"))

    # ── proof and its absence ───────────────────────────────────────────────────────────────────────────────────────────────
    seen_fulfilled = (
        edge(observation, paid.from_(registered, fulfilling, confirming, awaiting_payment, fulfillment_in_doubt), cond=to_pay, cause=connect, evidence=inferred("A1 step 8; A4"), label="read: paid")
      | edge(observation, fulfilled.from_(registered, fulfilling, confirming, awaiting_payment, fulfillment_in_doubt), cond=~to_pay, cause=connect, evidence=inferred("A1 step 8; A4"), label="read: fulfilled")
      | edge(observation, paid.from_(cancelled, payment_error, outcome_unknown), cond=to_pay & window.is_("open"), recovery=True, cause=connect, evidence=inferred("A1, A4: late proof"), label="paid after all")
      | edge(observation, fulfilled.from_(cancelled, payment_error, outcome_unknown), cond=~to_pay & window.is_("open"), recovery=True, cause=connect, evidence=inferred("A1, A4: late proof"), label="fulfilled after all")
      | edge(observation, paid.to(fulfilled), cause=connect, evidence=documented("A1 step 8"), label="read: fulfilled"))
    read_unproven = (
        edge(observation, confirming.to(cancelled), cond=claimed.is_("cancel") & grace.is_("over"), cause=customer, evidence=inferred("A1 step 7: processing stops"), label="cancel, still unproven")
      | edge(observation, confirming.to(payment_error), cond=claimed.is_("error"), cause=connect, evidence=inferred("A1 step 7, G4: processing stops"), label="error, unproven"))
    cancel_grace_over = edge(clock, confirming.to(confirming), cond=claimed.is_("cancel") & grace.is_("running"), sets={"grace": "over"}, cause=time, evidence=assumed("our grace: the redirect may precede the mark"), label="grace over, read again")
    nobody_came = (
        edge(clock, fulfilling.to(outcome_unknown), cond=by_url, cause=time, evidence=assumed("our deadline: nothing returned"), label="nobody came back")
      | edge(clock, awaiting_payment.to(outcome_unknown), cause=time, evidence=assumed("our deadline: no callback"), label="no callback"))
    no_proof = edge(clock, confirming.to(outcome_unknown), cause=time, evidence=assumed("our deadline: no proof"), label="no proof in time")
    recovery_window_closed = (
        edge(clock, cancelled.to(cancelled), cond=window.is_("open"), sets={"window": "closed"}, cause=time, evidence=assumed("our window"), label="recovery window closed")
      | edge(clock, payment_error.to(payment_error), cond=window.is_("open"), sets={"window": "closed"}, cause=time, evidence=assumed("our window"), label="recovery window closed")
      | edge(clock, outcome_unknown.to(outcome_unknown), cond=window.is_("open"), sets={"window": "closed"}, cause=time, evidence=assumed("our window"), label="recovery window closed"))

    # ── assigning the user ──────────────────────────────────────────────────────────────────────────────────────────────────
    assign_user            = edge(command, fulfilled.to(assigning), cond=needs_user, effects=[assign_to_user], cause=us, evidence=documented("A9, R3: previously fulfilled"), label="assign user")
    assigned               = edge(reply, user_assigned.from_(assigning, assignment_in_doubt), cause=connect, evidence=documented("A9"), label="assigned")
    assignment_refused     = edge(reply, fulfilled.from_(assigning, assignment_in_doubt), cause=connect, evidence=documented("A9: 400"), label="assignment refused")
    assignment_undelivered = edge(reply, assigning.to(fulfilled), cause=us, evidence=inferred("A12: never executed"), label="never sent")
    assignment_answer_lost = edge(reply, assigning.to(assignment_in_doubt), cause=us, evidence=inferred("A9: no word on calling twice"), label="answer lost")
    assignment_resolved    = edge(operator, assignment_in_doubt.to(user_assigned), cause=employee, evidence=assumed("A9: a person checked"), label="found assigned")
    assignment_given_up    = edge(operator, fulfilled.from_(fulfilled, assignment_in_doubt), cond=needs_user, sets={"needs_user": False}, cause=employee, evidence=assumed("A9: a person decided"), label="assignment given up")

    readings = {
        "preliminary": reading(consistent=[registered, fulfilling, fulfillment_in_doubt, awaiting_payment, confirming, cancelled, payment_error, outcome_unknown, registering, registration_in_doubt]),
        "fulfilled": reading(consistent=[fulfilled, assigning, assignment_in_doubt, user_assigned], proves=fulfilled),
    }
