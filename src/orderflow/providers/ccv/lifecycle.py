"""The life of a CCV reseller order. READ THIS FIRST.

We configure and submit; after that CCV runs the order and we only observe: one event per status, each status proves its own state.
Page tags (D1, D2, ...) and edge numbers (#9) are those of the dossier that README.md of this room summarises. Kept by hand as a table.

Payment, screening and activation are expectations about the path (they warn), never guards: CCV is the source of truth.
``Failed`` is starred as an end, yet "action is required": it is provisional, and a later status counts as recovery until its window closes.
"""
# fmt: off

from orderflow.lifecycle.declare import Flag, Lifecycle, State, assumed, documented, edge, inferred, once, reading, repeatable
from orderflow.lifecycle.facts import Fact
from orderflow.vocabulary import Cause, Origin

command, reply, observation, claim, clock, operator = Origin
customer, ccv, employee, us, time = Cause


class CcvLifecycle(Lifecycle, name="ccv"):
    # ── states ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
    drafted               = State(initial=True)
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

    # ── facts, effects ──────────────────────────────────────────────────────────────────────────────────────────────────────
    pays_now   = Flag()                     # immediate payment is due (dossier P)
    screened   = Flag()                     # a product that needs merchant screening (S)
    activates  = Flag()                     # a product that must be activated (F)
    window     = Fact("open", "closed")     # whether leaving Failed still counts as recovery
    configure_order = repeatable(kind="configuration")   # the PATCH calls: the order travels by value, nothing is stored at CCV
    submit_order    = once(kind="submission")            # no idempotency key, no look-up: two submits are two orders

    # ── ordering ────────────────────────────────────────────────────────────────────────────────────────────────────────────
    submit                    = edge(command, drafted.to(configuring), effects=[configure_order], cause=us, evidence=documented("D3-D6"), label="order it")
    order_configured          = edge(reply, configuring.to(submitting), effects=[submit_order], cause=ccv, evidence=inferred("D4-D6: each call answers the enriched order"), label="configured")
    configuration_refused     = edge(reply, configuring.to(refused), cause=ccv, evidence=documented("D4-D6: 400, 401, 403"), label="configuration refused")
    configuration_undelivered = edge(reply, configuring.to(refused), cause=us, evidence=inferred("D3-D6: nothing is stored before the submit"), label="never configured")
    order_submitted           = edge(reply, Processing.from_(submitting, submission_in_doubt), cause=us, evidence=inferred("D1 #1"), label="submitted")
    submission_refused        = edge(reply, refused.from_(submitting, submission_in_doubt), cause=ccv, evidence=documented("D1: 400, 401, 403"), label="submit refused")
    submission_undelivered    = edge(reply, submitting.to(refused), cause=us, evidence=inferred("D1: never reached CCV"), label="never submitted")
    submission_answer_lost    = edge(reply, submitting.to(submission_in_doubt), cause=us, evidence=inferred("D1: no look-up call, so never submit again blindly"), label="answer lost")
    submission_resolved       = edge(operator, submission_in_doubt.to(Processing), cause=employee, evidence=assumed("D2: CCV names the order id"), label="found by CCV")
    submission_given_up       = edge(operator, submission_in_doubt.to(abandoned), cause=employee, evidence=assumed("D1: CCV knows no such order"), label="given up")

    # ── observed statuses (edge numbers of the dossier) ─────────────────────────────────────────────────────────────────────
    seen_processing = edge(observation, Failed.to(Processing), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered")
    seen_incomplete = (
        edge(observation, Processing.to(Incomplete), cause=ccv, evidence=documented("D1 #2"), label="processed")
      | edge(observation, Failed.to(Incomplete), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_awaiting_payment = (
        edge(observation, Incomplete.to(AwaitingPayment), expects=pays_now, cause=customer, evidence=inferred("D1 #3"), label="payment required")
      | edge(observation, Failed.to(AwaitingPayment), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_screening = (
        edge(observation, Incomplete.to(Screening), expects=screened & ~pays_now, cause=customer, evidence=inferred("D1 #4"), label="screening required")
      | edge(observation, AwaitingPayment.to(Screening), expects=screened, cause=customer, evidence=inferred("D1 #6"), label="paid, screening")
      | edge(observation, Failed.to(Screening), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_new = (
        edge(observation, Incomplete.to(New), expects=~pays_now & ~screened, cause=customer, evidence=inferred("D1 #5"), label="ready")
      | edge(observation, AwaitingPayment.to(New), expects=~screened, cause=customer, evidence=inferred("D1 #7"), label="paid")
      | edge(observation, Screening.to(New), cause=employee, evidence=documented("D1 #9"), label="approved")
      | edge(observation, Failed.to(New), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_erp_in_progress = edge(observation, New.to(ErpInProgress), cause=ccv, evidence=assumed("D1 #20: reserved"), label="reserved")
    seen_fulfillment_in_progress = (
        edge(observation, New.to(FulfillmentInProgress), expects=activates, cause=ccv, evidence=documented("D1 #11"), label="1+ inactive")
      | edge(observation, ErpInProgress.to(FulfillmentInProgress), cause=ccv, evidence=assumed("D1 #20: reserved"), label="1+ inactive")
      | edge(observation, Failed.to(FulfillmentInProgress), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_fulfillment_done = (
        edge(observation, FulfillmentDone.from_(New, FulfillmentInProgress), cause=ccv, evidence=documented("D1 #12, #13"), label="all active")
      | edge(observation, ErpInProgress.to(FulfillmentDone), cause=ccv, evidence=assumed("D1 #20: reserved"), label="all active")
      | edge(observation, Failed.to(FulfillmentDone), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_completed = (
        edge(observation, FulfillmentDone.to(Completed), cause=ccv, evidence=inferred("D1 #14"), label="done")
      | edge(observation, New.to(Completed), expects=~activates, cause=employee, evidence=inferred("D1 #15, weak"), label="done")
      | edge(observation, ErpInProgress.to(Completed), cause=ccv, evidence=assumed("D1 #20: reserved"), label="done")
      | edge(observation, Failed.to(Completed), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_closed = (
        edge(observation, Screening.to(Closed), cause=employee, evidence=documented("D1 #10, #17: screening rejected, or closed by an employee"), label="rejected or closed")
      | edge(observation, Closed.from_(Processing, Incomplete, AwaitingPayment, New, FulfillmentInProgress, FulfillmentDone), cause=employee, evidence=inferred("D1 #17: origin open"), label="CCV closes")
      | edge(observation, ErpInProgress.to(Closed), cause=employee, evidence=assumed("D1 #17, #20"), label="CCV closes")
      | edge(observation, Failed.to(Closed), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_canceled = (
        edge(observation, Canceled.from_(Processing, Incomplete, AwaitingPayment, Screening, New, FulfillmentInProgress, FulfillmentDone), cause=customer, evidence=inferred("D1 #16: origin open"), label="merchant cancels")
      | edge(observation, ErpInProgress.to(Canceled), cause=customer, evidence=assumed("D1 #16, #20"), label="merchant cancels")
      | edge(observation, Failed.to(Canceled), cond=window.is_("open"), recovery=True, cause=employee, evidence=assumed("D1 #19"), label="recovered"))
    seen_failed = (
        edge(observation, AwaitingPayment.to(Failed), cause=customer, evidence=inferred("D1 #8, #18: all payments failed, or a technical error"), label="payment or technical failure")
      | edge(observation, Failed.from_(Processing, Incomplete, Screening, New, FulfillmentInProgress, FulfillmentDone), cause=ccv, evidence=inferred("D1 #18: origin open"), label="technical failure")
      | edge(observation, ErpInProgress.to(Failed), cause=ccv, evidence=assumed("D1 #18, #20"), label="technical failure"))
    recovery_window_closed = edge(clock, Failed.to(Failed), cond=window.is_("open"), sets={"window": "closed"}, cause=time, evidence=assumed("D1: Failed asks for action, no time limit is stated"), label="recovery window closed")

    readings = {state.value: reading(consistent=[state], proves=state) for state in (
        Processing, Incomplete, AwaitingPayment, Screening, New, ErpInProgress, FulfillmentInProgress, FulfillmentDone, Completed, Closed, Canceled, Failed)}
