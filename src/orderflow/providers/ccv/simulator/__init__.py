"""A simulator of CCV's reseller ordering, over HTTP. Re-exports only.

``moves`` is its own table of what CCV does with an order, ``plans`` the magic values, ``orders`` the lives of orders, ``notifications``
what CCV sends, ``api`` the six calls, ``rules`` what a request must be, ``switches`` what CCV's pages leave open. ``ccv`` puts all
together. It does not import our lifecycle, so that the two can disagree.
"""

from __future__ import annotations

from orderflow.providers.ccv.simulator.ccv import CcvSimulator
from orderflow.providers.ccv.simulator.moves import ENDS, MOVES
from orderflow.providers.ccv.simulator.orders import SimulatedOrder
from orderflow.providers.ccv.simulator.plans import Move
from orderflow.providers.ccv.simulator.switches import IdShape

__all__ = ["ENDS", "MOVES", "CcvSimulator", "IdShape", "Move", "SimulatedOrder"]
