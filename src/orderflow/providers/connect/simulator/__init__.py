"""A stand-in for Connect, over real HTTP. Re-exports only.

``orders`` is its own table of what happens to an order, ``tokens`` its OAuth server, ``api`` the apiServer,
``browser`` the loginServer's pages, ``connect`` the whole. It knows nothing of our lifecycle, so that the two can
disagree. What Connect's pages leave open is made up here and says so; above all the status word ``fulfilled``.
"""

from __future__ import annotations

from orderflow.providers.connect.simulator.connect import ConnectSimulator
from orderflow.providers.connect.simulator.orders import FULFILLED, PRELIMINARY, Outcome, SimulatedOrder

__all__ = ["FULFILLED", "PRELIMINARY", "ConnectSimulator", "Outcome", "SimulatedOrder"]
