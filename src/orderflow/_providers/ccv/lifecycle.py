"""The life of a CCV reseller order. READ THIS FIRST.

We configure and submit the order. After that CCV runs it and we only observe: one event for each status, and each status proves its own
state. Page tags (D1, D2, ...) and edge numbers (#9) are those of the dossier that the README.md beside this file summarises.

Payment, screening and activation are expectations about the path: an order that breaks one gets a note. They are never guards, because
CCV decides. CCV draws ``Failed`` as an end, but also says "action is required". So it is provisional: a later status counts as recovery
until the recovery window closes. A paid order whose screening is rejected is seen in ``Closed``. That is final, and no edge of ours
returns the money.

This file is formatted by hand, as a table. An edge reads: origin, from -> to, cause, evidence with its page, label; then guard, facts that
are set, effects.
"""
# fmt: off

from orderflow.lifecycle import (
    ENTERS_PROVEN, Cause, Fact, Flag, Lifecycle, Origin, State, absence, after, assumed, at, before, by, can, documented, edge, inferred,
    leaving, on, once, precedence, reading, repeatable, response, under, universality)

command, reply, observation, claim, clock, operator = Origin
customer, ccv, employee, us, time = Cause


class CcvLifecycle(Lifecycle, name="ccv"):
    # ── states ────────────────────────────────────────────────────────────────────────────────────────────────────
    drafted               = State(initial=True, deadlines={"draft_expired": "draft_timeout"})
    configuring           = State(budget="configuring_budget")
    submitting            = State(budget="submitting_budget")
    submission_in_doubt   = State(budget="in_doubt_budget")
    Processing            = State("Processing", budget="processing_budget")
    Incomplete            = State("Incomplete", budget="incomplete_budget")
    AwaitingPayment       = State("AwaitingPayment", budget="awaiting_payment_budget")
    Screening             = State("Screening", budget="screening_budget")
    New                   = State("New", budget="new_budget")
    ErpInProgress         = State("ErpInProgress", assumed=True, budget="new_budget")
    FulfillmentInProgress = State("FulfillmentInProgress", proven=True, budget="fulfillment_budget")
    FulfillmentDone       = State("FulfillmentDone", proven=True, budget="fulfillment_budget")
    Completed             = State("Completed", proven=True, final=True)
    Closed                = State("Closed", final=True)
    Canceled              = State("Canceled", final=True)
    Failed                = State("Failed", provisional=True, deadlines={"recovery_window_closed": "recovery_window"})
    refused               = State(final=True)
    abandoned             = State(final=True)
    discarded             = State(final=True)

    # ── facts, effects ────────────────────────────────────────────────────────────────────────────────────────────────────
    pays_now   = Flag()                     # immediate payment is due (dossier P)
    screened   = Flag()                     # a product needs merchant screening (S)
    activates  = Flag()                     # a product must be activated (F)
    window     = Fact("open", "closed")     # whether leaving Failed still counts as recovery
    configure_order = repeatable(kind="configuration", successes=["order_configured"], safe=True)  # CCV stores nothing of a PATCH
    submit_order    = once(kind="submission", successes=["order_submitted"])  # no idempotency key, no look-up: two submits are two orders

    # ── drafts, ordering ────────────────────────────────────────────────────────────────────────────────────────────────────
    submit                    = edge(command, drafted.to(configuring), us, documented("D3-D6"), "order it", effects=[configure_order])
    discard                   = edge(command, drafted.to(discarded), us, assumed("our draft; CCV knows nothing of it"), "discard")
    draft_expired             = edge(clock, drafted.to(discarded), time, assumed("our deadline for a draft"), "never submitted")
    order_configured          = edge(reply, configuring.to(submitting),
                                     ccv, inferred("D4-D6: each call answers the enriched order"), "configured", effects=[submit_order])
    configuration_refused     = edge(reply, configuring.to(refused), ccv, documented("D4-D6: 400, 401, 403"), "configuration refused")
    configuration_undelivered = edge(reply, configuring.to(drafted),
                                     us, inferred("D3-D6: nothing is stored before the submit"), "never configured")
    order_submitted           = edge(reply, Processing.from_(submitting, submission_in_doubt), us, inferred("D1 #1"), "submitted")
    submission_refused        = edge(reply, refused.from_(submitting, submission_in_doubt),
                                     ccv, documented("D1: 400, 401, 403"), "submit refused")
    submission_undelivered    = edge(reply, submitting.to(drafted), us, inferred("D1: never reached CCV"), "never submitted")
    submission_answer_lost    = edge(reply, submitting.to(submission_in_doubt),
                                     us, inferred("D1: no look-up call, so never submit again blindly"), "answer lost")
    submission_resolved       = edge(operator, submission_in_doubt.to(Processing),
                                     employee, assumed("D2: CCV names the order id"), "found by CCV")
    submission_not_found      = edge(operator, submission_in_doubt.to(drafted),
                                     employee, assumed("D1: CCV knows no such order"), "send again")
    submission_given_up       = edge(operator, submission_in_doubt.to(abandoned),
                                     employee, assumed("D1: a person decided"), "given up")

    # ── observed statuses (edge numbers of the dossier) ─────────────────────────────────────────────────────────────────────
    seen_processing = edge(observation, Failed.to(Processing), employee, assumed("D1 #19"), "recovered",
                           cond=window.is_("open"), recovery=True)
    seen_incomplete = (
        edge(observation, Processing.to(Incomplete), ccv, documented("D1 #2"), "processed")
      | edge(observation, Failed.to(Incomplete), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_awaiting_payment = (
        edge(observation, Incomplete.to(AwaitingPayment), customer, inferred("D1 #3"), "payment required", expects=pays_now)
      | edge(observation, Failed.to(AwaitingPayment), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_screening = (
        edge(observation, Incomplete.to(Screening), customer, inferred("D1 #4"), "screening required", expects=screened & ~pays_now)
      | edge(observation, AwaitingPayment.to(Screening), customer, inferred("D1 #6"), "paid, screening", expects=screened)
      | edge(observation, Failed.to(Screening), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_new = (
        edge(observation, Incomplete.to(New), customer, inferred("D1 #5"), "ready", expects=~pays_now & ~screened)
      | edge(observation, AwaitingPayment.to(New), customer, inferred("D1 #7"), "paid", expects=~screened)
      | edge(observation, Screening.to(New), employee, documented("D1 #9"), "approved")
      | edge(observation, Failed.to(New), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_erp_in_progress = edge(observation, New.to(ErpInProgress), ccv, assumed("D1 #20: reserved"), "reserved")
    seen_fulfillment_in_progress = (
        edge(observation, New.to(FulfillmentInProgress), ccv, documented("D1 #11"), "1+ inactive", expects=activates)
      | edge(observation, ErpInProgress.to(FulfillmentInProgress), ccv, assumed("D1 #20: reserved"), "1+ inactive")
      | edge(observation, Failed.to(FulfillmentInProgress), employee, assumed("D1 #19"), "recovered",
             cond=window.is_("open"), recovery=True))
    seen_fulfillment_done = (
        edge(observation, FulfillmentDone.from_(New, FulfillmentInProgress), ccv, documented("D1 #12, #13"), "all active")
      | edge(observation, ErpInProgress.to(FulfillmentDone), ccv, assumed("D1 #20: reserved"), "all active")
      | edge(observation, Failed.to(FulfillmentDone), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_completed = (
        edge(observation, FulfillmentDone.to(Completed), ccv, inferred("D1 #14"), "done")
      | edge(observation, New.to(Completed), employee, inferred("D1 #15, weak"), "done", expects=~activates)
      | edge(observation, ErpInProgress.to(Completed), ccv, assumed("D1 #20: reserved"), "done")
      | edge(observation, Failed.to(Completed), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_closed = (
        edge(observation, Screening.to(Closed),
             employee, documented("D1 #10, #17: screening rejected, or closed by an employee"), "rejected or closed")
      | edge(observation, Closed.from_(Processing, Incomplete, AwaitingPayment, New, FulfillmentInProgress, FulfillmentDone),
             employee, inferred("D1 #17: origin open"), "CCV closes")
      | edge(observation, ErpInProgress.to(Closed), employee, assumed("D1 #17, #20"), "CCV closes")
      | edge(observation, Failed.to(Closed), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_canceled = (
        edge(observation, Canceled.from_(Processing, Incomplete, AwaitingPayment, Screening, New, FulfillmentInProgress, FulfillmentDone),
             customer, inferred("D1 #16: origin open"), "merchant cancels")
      | edge(observation, ErpInProgress.to(Canceled), customer, assumed("D1 #16, #20"), "merchant cancels")
      | edge(observation, Failed.to(Canceled), employee, assumed("D1 #19"), "recovered", cond=window.is_("open"), recovery=True))
    seen_failed = (
        edge(observation, AwaitingPayment.to(Failed),
             customer, inferred("D1 #8, #18: all payments failed, or a technical error"), "payment or technical failure")
      | edge(observation, Failed.from_(Processing, Incomplete, Screening, New, FulfillmentInProgress, FulfillmentDone),
             ccv, inferred("D1 #18: origin open"), "technical failure")
      | edge(observation, ErpInProgress.to(Failed), ccv, assumed("D1 #18, #20"), "technical failure"))
    recovery_window_closed = edge(clock, Failed.to(Failed),
                                  time, assumed("D1: Failed asks for action, no time limit is stated"), "recovery window closed",
                                  cond=window.is_("open"), sets={"window": "closed"})

    readings = {state.value: reading(consistent=[state], proves=state) for state in (
        Processing, Incomplete, AwaitingPayment, Screening, New, ErpInProgress, FulfillmentInProgress, FulfillmentDone,
        Completed, Closed, Canceled, Failed)}

    # ── promises about every path, verified by `orderflow check` (a jump records only what was seen of a path) ──────────────────
    properties = {
        "paid before Completed": precedence(leaving(AwaitingPayment) & at(Screening, New), at(Completed) & pays_now, before(at(Failed)),
                                            as_expected=True),
        "refused only by CCV itself": precedence(on("configuration_refused", "submission_refused"), at(refused)),
        "every open state can be cancelled": universality(can("seen_canceled"), where=at(
            Processing, Incomplete, AwaitingPayment, Screening, New, ErpInProgress, FulfillmentInProgress, FulfillmentDone)),
        "rejected screening never reaches New": absence(at(New), after(on("seen_closed") & leaving(Screening))),
        "nothing at CCV without a submit": precedence(on("order_submitted", "submission_resolved"), at(Processing, Failed)),
        "proven by a poll alone": absence(ENTERS_PROVEN & ~by(observation)),
        "no recovery once the window is closed": absence(leaving(Failed), after(under(window.is_("closed")))),
        "a submit is answered, openly in doubt, or never sent": response(at(submitting),
                                                                         at(Processing, refused, submission_in_doubt, drafted)),
    }
