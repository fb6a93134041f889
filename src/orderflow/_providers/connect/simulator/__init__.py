"""A simulator of Connect, over HTTP. Re-exports only.

``orders`` is its own table of what happens to an order. ``outcome`` has what may be scripted, ``magic`` the magic values, ``switches``
what Connect's pages leave open. ``api`` is the apiServer, with its ``rate_limit``; ``browser`` and ``tokens`` are the loginServer.
``payments`` has what takes time, and ``connect`` puts all together.

The simulator does not import our lifecycle, so that the two can disagree. What Connect's pages leave open is made up and marked so;
above all the status ``fulfilled``.
"""

from __future__ import annotations

from orderflow._providers.connect.simulator.connect import ConnectSimulator
from orderflow._providers.connect.simulator.orders import FULFILLED, PRELIMINARY, SimulatedOrder
from orderflow._providers.connect.simulator.outcome import Outcome

__all__ = ["FULFILLED", "PRELIMINARY", "ConnectSimulator", "Outcome", "SimulatedOrder"]
