"""Connect (Mediaconnect/Unite): subscriptions and digital products. README.md is the overview; lifecycle.py is what to read first."""

from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._providers.connect.methods import CompletionWays
from orderflow._providers.connect.provider import TIMING, Connect

__all__ = ["TIMING", "CompletionWays", "Connect", "ConnectLifecycle"]
