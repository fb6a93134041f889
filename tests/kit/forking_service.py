"""A service that forks while its flow is open, as a preforking server that loads the application first does. No test lives here.

Prints the id of each order that it, or a child, has placed.
"""

from __future__ import annotations

import os
import sys

from tests.kit.chaos_app import PACES, make_providers
from tests.kit.world import LINK_KEYS, ccv_request, connect_request

from orderflow import SyncOrderflow
from orderflow.errors import NotOpen

CHILDREN, ORDERS = 4, 5
FIRST = 1_000_000  # the numbers of the other customers' orders are smaller


def make_flow() -> SyncOrderflow:
    """The service, not entered yet."""
    db, connect, ccv, shop, dispatch, pace = os.environ["CHAOS"].split("|")
    providers = make_providers(connect, ccv, shop, PACES[pace])
    return SyncOrderflow(db, providers, public_url=f"{shop}/orders", signing_keys=LINK_KEYS, dispatch=dispatch)


def place(flow: SyncOrderflow, process: int) -> None:
    """Place some orders; half are Connect's."""
    for n in range(FIRST + process * ORDERS, FIRST + (process + 1) * ORDERS):
        reference = f"chaos-{n}"
        if n % 2:
            order = flow.create("ccv", key=reference, **ccv_request(external_reference=reference))
            flow.send(order.id, "submit", key="submit")
        else:
            order = flow.create("connect", key=reference, **connect_request(external_id=reference))
            flow.send(order.id, "register", key="register")
        print(order.id, flush=True)


def run_child(inherited: SyncOrderflow, process: int) -> None:
    """The flow that was open before the fork says that it is another process's; one of the child's own works."""
    try:
        inherited.orders()
    except NotOpen:
        with make_flow() as own:
            place(own, process)
        return
    raise AssertionError("a flow that another process opened was used")


def main() -> None:
    """Fork children while the flow is open. Half of them end as a program ends, half at once."""
    with make_flow() as flow:
        place(flow, 0)
        children = []
        for process in range(1, CHILDREN + 1):
            child = os.fork()
            if not child:
                run_child(flow, process)
                if process % 2:
                    sys.exit(0)
                os._exit(0)
            children.append(child)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * CHILDREN
        place(flow, CHILDREN + 1)  # its connections are as they were


if __name__ == "__main__":
    main()
