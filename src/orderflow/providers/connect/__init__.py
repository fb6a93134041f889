"""Connect (Mediaconnect/Unite): subscriptions and digital products. README.md is the overview; lifecycle.py is what to read first."""

from orderflow.providers.connect.lifecycle import ConnectLifecycle
from orderflow.providers.connect.methods import Ways
from orderflow.providers.connect.provider import TIMING, Connect

__all__ = ["TIMING", "Connect", "ConnectLifecycle", "Ways"]
