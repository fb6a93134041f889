"""A stand-in for CCV's reseller ordering, over real HTTP. Re-exports only.

``moves`` is its own table of what CCV does with an order, ``plans`` the magic values, ``orders`` the orders' lives, ``api``
the six calls, ``rules`` what a request must be, ``switches`` what CCV's pages leave open, ``ccv`` the whole. It knows
nothing of our lifecycle, so that the two can disagree.
"""

from __future__ import annotations

from orderflow.providers.ccv.simulator.ccv import CcvSimulator
from orderflow.providers.ccv.simulator.moves import ENDS, MOVES
from orderflow.providers.ccv.simulator.orders import SimOrder
from orderflow.providers.ccv.simulator.plans import Move
from orderflow.providers.ccv.simulator.switches import IdShape

__all__ = ["ENDS", "MOVES", "CcvSimulator", "IdShape", "Move", "SimOrder"]
