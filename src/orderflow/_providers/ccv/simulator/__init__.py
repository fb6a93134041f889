"""A simulator of CCV's reseller ordering, over HTTP. Re-exports only.

``moves`` is its own table of what CCV does with an order. ``plans`` has the magic values, ``switches`` what CCV's pages leave open,
``orders`` the lives of orders, ``notifications`` what CCV sends. ``api`` has the six calls, ``rules`` what a request must be, and
``ccv`` puts all together. The simulator does not import our lifecycle, so that the two can disagree.
"""

from __future__ import annotations

from orderflow._providers.ccv.simulator.ccv import CcvSimulator
from orderflow._providers.ccv.simulator.moves import ENDS, MOVES
from orderflow._providers.ccv.simulator.orders import SimulatedOrder
from orderflow._providers.ccv.simulator.plans import Move
from orderflow._providers.ccv.simulator.switches import IdShape

__all__ = ["ENDS", "MOVES", "CcvSimulator", "IdShape", "Move", "SimulatedOrder"]
