"""The life of a Connect order. READ THIS FIRST.

An order is registered once. It is completed by the fulfillment URL (in the browser) or by the fulfillment API, and proven by an
authenticated status poll. Then a user may be assigned. Page tags (A1, A3, ...) are those of the dossier that the README.md beside this
file summarises.

A redirect or callback is a claim: it moves the order to ``confirming`` at most. ``paid`` and ``fulfilled`` are entered on a poll, or by an
operator. ``cancelled``, ``error`` and ``unknown`` are provisional: the old URL can still be paid, so a later proof overrules them until the
recovery window closes.

Formatted by hand, as a table. An edge reads: origin, from -> to, cause, evidence with its page, label; then guard, facts set, effects.
"""
# fmt: off

from orderflow.lifecycle import (
    ENTERS_PROVEN, ENTERS_PROVISIONAL, Cause, Fact, Flag, Lifecycle, Origin, State, absence, after, assumed, at, by, documented, edge,
    inferred, leaving, on, once, precedence, reading, repeatable, response, under)

command, reply, observation, claim, clock, operator = Origin
customer, connect, employee, us, time = Cause


class ConnectLifecycle(Lifecycle, name="connect"):
    # ── states ────────────────────────────────────────────────────────────────────────────────────────────────────
    drafted               = State(initial=True, deadlines={"draft_expired": "draft_timeout"})
    registering           = State(budget="registering_budget")
    registration_in_doubt = State(budget="in_doubt_budget")
    registered            = State(deadlines={"never_completed": "completion_timeout"})
    fulfilling            = State(deadlines={"no_return": "return_timeout"}, budget="fulfilling_budget")
    fulfillment_in_doubt  = State(budget="in_doubt_budget")
    awaiting_payment      = State(deadlines={"no_return": "return_timeout"})
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
    discarded             = State(final=True)

    # ── facts, guards, effects ──────────────────────────────────────────────────────────────────────────────────────────────
    by_sms      = Flag()                                             # method sms, not prepaid: the customer pays on the phone
    to_pay      = Flag()                                             # not prepaid, and neither invoice nor free
    url_allowed = Flag()                                             # the method table (methods.py) allows the URL for this order
    api_allowed = Flag()
    user_mode   = Flag()                                             # registered with a user's token
    needs_user  = Flag()                                             # digital content, and no user was logged in
    way         = Fact("none", "url", "api")
    claimed     = Fact("none", "success", "cancel", "error", "unknown")  # the outcome that the browser or the callback reported last
    grace       = Fact("running", "over")                            # a claimed cancel waits for a poll after the grace period
    window      = Fact("open", "closed")                             # whether proof may still overrule a provisional end
    by_url        = way.is_("url")
    sms_in_flight = by_sms & way.is_("api")
    register_order  = once(kind="registration", successes=["order_registered"])  # no idempotency key; client mode has no look-up by our id
    fulfill_by_sms  = once(kind="fulfillment", successes=["fulfillment_accepted"])  # a second call might ask the customer to pay twice
    fulfill_order   = repeatable(kind="fulfillment", successes=["fulfillment_accepted"])
    assign_to_user  = once(kind="assignment", successes=["assigned"], arguments=["assignment"])  # may send a message and create an account
    search_order    = repeatable(successes=["registration_found"], safe=True)  # user mode only: Search order details by externalOrderId

    # ── drafts, registering ────────────────────────────────────────────────────────────────────────────────────────────────────
    register                 = edge(command, drafted.to(registering), us, documented("A5, A6"), "register", effects=[register_order])
    discard                  = edge(command, drafted.to(discarded), us, assumed("our draft; Connect knows nothing of it"), "discard")
    draft_expired            = edge(clock, drafted.to(discarded), time, assumed("our deadline for a draft"), "never registered")
    order_registered         = edge(reply, registered.from_(registering, registration_in_doubt),
                                    connect, documented("A6 step 4"), "registered")
    registration_refused     = edge(reply, refused.from_(registering, registration_in_doubt), connect, documented("A5: 400"), "refused")
    registration_undelivered = edge(reply, registering.to(drafted), us, inferred("A12: never executed"), "never sent")
    registration_answer_lost = (
        edge(reply, registering.to(registration_in_doubt), us, inferred("A5: no duplicate detection; R1: search"), "answer lost",
             cond=user_mode, effects=[search_order])
      | edge(reply, registering.to(registration_in_doubt), us, inferred("A5: no duplicate detection"), "answer lost", cond=~user_mode))
    registration_found       = edge(reply, registration_in_doubt.to(registered),
                                    us, documented("R1: one hit by externalOrderId"), "found by search", cond=user_mode)
    registration_resolved    = edge(operator, registration_in_doubt.to(registered),
                                    employee, assumed("R1: a person names the orderId"), "found by a person")
    registration_not_found   = edge(operator, registration_in_doubt.to(drafted), employee, assumed("R1: none was found"), "not registered")
    registration_given_up    = edge(operator, registration_in_doubt.to(abandoned), employee, assumed("R1: a person decided"), "given up")

    # ── completing ────────────────────────────────────────────────────────────────────────────────────────────────────
    complete_by_url = edge(command, registered.to(fulfilling), us, documented("A1 step 6"), "browser sent to the URL",
                           cond=url_allowed, sets={"way": "url"})
    complete_by_api = (
        edge(command, registered.to(fulfilling), us, documented("A3, G4"), "sms requested",
             cond=api_allowed & by_sms, sets={"way": "api"}, effects=[fulfill_by_sms])
      | edge(command, registered.to(fulfilling), us, documented("A3, G4"), "API called",
             cond=api_allowed & ~by_sms, sets={"way": "api"}, effects=[fulfill_order]))
    never_completed = edge(clock, registered.to(cancelled), time, assumed("our deadline; Connect documents no expiry"), "never completed")
    fulfillment_accepted = (
        edge(reply, awaiting_payment.from_(fulfilling, fulfillment_in_doubt), connect, documented("A3: OK = message sent, not paid"),
             "sms sent", cond=by_sms)
      | edge(reply, confirming.from_(fulfilling, fulfillment_in_doubt), connect, documented("A3: OK"), "accepted", cond=~by_sms))
    fulfillment_refused = (
        edge(reply, payment_error.from_(fulfilling, fulfillment_in_doubt), connect, documented("A3: 200 with ERROR, 400"), "refused")
      | edge(reply, confirming.to(payment_error), connect, inferred("A3: the callback came before the answer"), "refused", cond=~by_url))
    fulfillment_undelivered = edge(reply, fulfilling.to(registered), us, inferred("A12: never executed"), "never sent",
                                   cond=~by_url, sets={"way": "none"})
    fulfillment_answer_lost = edge(reply, fulfilling.to(fulfillment_in_doubt), us, inferred("A3: no word on calling twice"), "answer lost",
                                   cond=~by_url)
    fulfillment_not_found   = edge(operator, fulfillment_in_doubt.to(registered),
                                   employee, assumed("a person knows that nothing happened"), "send again", sets={"way": "none"})
    fulfillment_given_up    = edge(operator, fulfillment_in_doubt.to(outcome_unknown), employee, assumed("a person decided"), "given up")

    # ── claims: forgeable, so they only lead to confirming ──────────────────────────────────────────────────────────────────
    returned_success = (
        edge(claim, fulfilling.to(confirming), customer, documented("A1 step 7"), "returned: success",
             cond=by_url, sets={"claimed": "success"})
      | edge(claim, confirming.to(confirming), customer, inferred("A1 step 7, later"), "success after all",
             cond=by_url & claimed.is_("cancel", "error"), sets={"claimed": "success"}))
    returned_cancel = (
        edge(claim, fulfilling.to(confirming), customer, documented("A1 step 7"), "returned: cancel",
             cond=by_url, sets={"claimed": "cancel"})
      | edge(claim, confirming.to(confirming), customer, inferred("A1 step 7, later"), "cancel",
             cond=by_url & claimed.is_("none"), sets={"claimed": "cancel"}))
    returned_error = (
        edge(claim, fulfilling.to(confirming), connect, documented("A1 step 7; A11: errorUrl"), "returned: error",
             cond=by_url, sets={"claimed": "error"})
      | edge(claim, confirming.to(confirming), connect, inferred("A1 step 7, later"), "error",
             cond=by_url & claimed.is_("none"), sets={"claimed": "error"}))
    returned_unclear = edge(claim, fulfilling.to(confirming), connect, documented("A1 step 7: unknown"), "returned: unclear",
                            cond=by_url, sets={"claimed": "unknown"})
    returned_bare    = edge(claim, fulfilling.to(confirming),
                            customer, inferred("A1 step 6: prepaid, parameter not promised"), "returned, nothing said",
                            cond=by_url, sets={"claimed": "none"})
    called_back_success = (
        edge(claim, confirming.from_(awaiting_payment, fulfillment_in_doubt), connect, documented("A3, G4"), "callback: success",
             sets={"claimed": "success"})
      | edge(claim, fulfilling.to(confirming), connect, inferred("A3, before the answer"), "callback: success",
             cond=sms_in_flight, sets={"claimed": "success"})
      | edge(claim, confirming.to(confirming), connect, inferred("A3, later"), "success after all",
             cond=by_sms & claimed.is_("error"), sets={"claimed": "success"}))
    called_back_failed = (
        edge(claim, confirming.from_(awaiting_payment, fulfillment_in_doubt), connect, documented("A3, G4"), "callback: failed",
             sets={"claimed": "error"})
      | edge(claim, fulfilling.to(confirming), connect, inferred("A3, before the answer"), "callback: failed",
             cond=sms_in_flight, sets={"claimed": "error"}))

    # ── proof and its absence ───────────────────────────────────────────────────────────────────────────────────────────────
    seen_fulfilled = (
        edge(observation, paid.from_(registered, fulfilling, confirming, awaiting_payment, fulfillment_in_doubt),
             connect, inferred("A1 step 8; A4"), "polled: paid", cond=to_pay)
      | edge(observation, fulfilled.from_(registered, fulfilling, confirming, awaiting_payment, fulfillment_in_doubt),
             connect, inferred("A1 step 8; A4"), "polled: fulfilled", cond=~to_pay)
      | edge(observation, paid.from_(cancelled, payment_error, outcome_unknown), connect, inferred("A1, A4: late proof"), "paid after all",
             cond=to_pay & window.is_("open"), recovery=True)
      | edge(observation, fulfilled.from_(cancelled, payment_error, outcome_unknown),
             connect, inferred("A1, A4: late proof"), "fulfilled after all", cond=~to_pay & window.is_("open"), recovery=True)
      | edge(observation, paid.to(fulfilled), connect, documented("A1 step 8"), "polled: fulfilled"))
    seen_unproven = (
        edge(observation, confirming.to(cancelled), customer, inferred("A1 step 7: processing stops"), "cancel, still unproven",
             cond=claimed.is_("cancel") & grace.is_("over"))
      | edge(observation, confirming.to(payment_error), connect, inferred("A1 step 7, G4: processing stops"), "error, unproven",
             cond=claimed.is_("error")))
    cancel_grace_over = edge(clock, confirming.to(confirming),
                             time, assumed("our grace: the redirect may precede the mark"), "grace over, poll again",
                             cond=claimed.is_("cancel") & grace.is_("running"), sets={"grace": "over"})
    no_return = (
        edge(clock, fulfilling.to(outcome_unknown), time, assumed("our deadline: nothing returned"), "no return in time", cond=by_url)
      | edge(clock, awaiting_payment.to(outcome_unknown), time, assumed("our deadline: no callback"), "no callback"))
    no_proof = edge(clock, confirming.to(outcome_unknown), time, assumed("our deadline: no proof"), "no proof in time")
    recovery_window_closed = (
        edge(clock, cancelled.to(cancelled), time, assumed("our window"), "recovery window closed",
             cond=window.is_("open"), sets={"window": "closed"})
      | edge(clock, payment_error.to(payment_error), time, assumed("our window"), "recovery window closed",
             cond=window.is_("open"), sets={"window": "closed"})
      | edge(clock, outcome_unknown.to(outcome_unknown), time, assumed("our window"), "recovery window closed",
             cond=window.is_("open"), sets={"window": "closed"}))

    # ── assigning the user ──────────────────────────────────────────────────────────────────────────────────────────────────
    assign_user            = edge(command, fulfilled.to(assigning), us, documented("A9, R3: previously fulfilled"), "assign user",
                                  cond=needs_user, effects=[assign_to_user])
    assigned               = edge(reply, user_assigned.from_(assigning, assignment_in_doubt), connect, documented("A9"), "assigned")
    assignment_refused     = edge(reply, fulfilled.from_(assigning, assignment_in_doubt),
                                  connect, documented("A9: 400"), "assignment refused")
    assignment_undelivered = edge(reply, assigning.to(fulfilled), us, inferred("A12: never executed"), "never sent")
    assignment_answer_lost = edge(reply, assigning.to(assignment_in_doubt), us, inferred("A9: no word on calling twice"), "answer lost")
    assignment_resolved    = edge(operator, assignment_in_doubt.to(user_assigned), employee, assumed("A9: a person saw"), "found assigned")
    assignment_not_found   = edge(operator, assignment_in_doubt.to(fulfilled), employee, assumed("A9: a person checked"), "send again")
    assignment_given_up    = edge(operator, fulfilled.from_(fulfilled, assignment_in_doubt), employee, assumed("A9: a person decided"),
                                  "assignment given up", cond=needs_user, sets={"needs_user": False})

    readings = {
        "preliminary": reading(consistent=[registering, registration_in_doubt, registered, fulfilling, fulfillment_in_doubt,
                                           awaiting_payment, confirming, cancelled, payment_error, outcome_unknown, refused, abandoned]),
        "fulfilled": reading(consistent=[fulfilled, assigning, assignment_in_doubt, user_assigned], proves=fulfilled),
    }
    properties = {  # verified by `orderflow check`
        "fulfilled only on proof": precedence(on("seen_fulfilled"), at(paid, fulfilled, assigning, user_assigned)),
        "refused only by Connect itself": precedence(on("registration_refused"), at(refused)),
        "paid never without something to pay": absence(at(paid) & ~under(to_pay)),
        "no claim proves or ends anything": absence(by(claim) & (ENTERS_PROVEN | ENTERS_PROVISIONAL)),
        "cancelled by a customer only on a claimed cancel": precedence(on("returned_cancel"), at(cancelled) & leaving(confirming)),
        "nothing revives once the window is closed": absence(leaving(cancelled, payment_error, outcome_unknown),
                                                             after(under(window.is_("closed")))),
        "a customer sent to pay gets an outcome": response(at(fulfilling, awaiting_payment, confirming),
                                                          at(paid, fulfilled, cancelled, payment_error, outcome_unknown)),
    }
