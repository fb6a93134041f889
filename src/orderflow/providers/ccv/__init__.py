"""CCV: reseller orders of payment terminals and online payments. README.md is the overview; lifecycle.py is what to read first."""

from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.ccv.provider import TIMING, Ccv

__all__ = ["TIMING", "Ccv", "CcvLifecycle"]
