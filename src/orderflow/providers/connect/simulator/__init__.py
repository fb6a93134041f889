"""A simulator of Connect, over HTTP. Re-exports only.

``orders`` is its own table of what happens to an order, ``outcome`` what may be scripted, ``magic`` the magic values, ``tokens`` its
OAuth server, ``rate_limit`` the limit on calls, ``api`` the apiServer, ``browser`` the pages of the loginServer, ``payments`` what
takes time, ``switches`` what Connect's pages leave open. ``connect`` puts all together. It does not import our lifecycle, so that the
two can disagree. What the pages leave open is made up and marked so; above all the status ``fulfilled``.
"""

from __future__ import annotations

from orderflow.providers.connect.simulator.connect import ConnectSimulator
from orderflow.providers.connect.simulator.orders import FULFILLED, PRELIMINARY, SimulatedOrder
from orderflow.providers.connect.simulator.outcome import Outcome

__all__ = ["FULFILLED", "PRELIMINARY", "ConnectSimulator", "Outcome", "SimulatedOrder"]
