"""Exhaustive exploration of the engine: every interleaving of callers, forgers, a provider, clocks, W workers and crashes.

    explored = explore(CCV, facts, workers=2)
    explored.worlds, explored.violation

Claims may come at any moment, any number of times, in any order, or never. That covers loss, duplication, reordering and forgery.
A worker may stall, lose its lease, go on later, or die, between any two steps. The provider may act and its answer be lost.

A violation is one of these:

- a state is proven without proof, or is ahead of the provider
- a once-effect is carried out twice
- an order moves on a stale poll
- a step is written over another
- one key moves an order twice
- a call is reported undelivered that the provider has carried out
- a deadline moves an order that can be polled, and no poll was answered that began behind it
- an order can no longer come to rest

The last one is AG EF: from every world, with callers, forgers and the provider silent, the order can still reach the provider's state, or
be openly in doubt. No fairness is assumed. An order whose recovery window is closed is not asked to do so.
"""

from tests.verification.explorer.environment import CCV, CONNECT, CallModel, Environment
from tests.verification.explorer.explore import Explored, explore, valuations_at_create

__all__ = ["CCV", "CONNECT", "CallModel", "Environment", "Explored", "explore", "valuations_at_create"]
