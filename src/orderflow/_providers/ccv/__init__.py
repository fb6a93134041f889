"""CCV: reseller orders of payment terminals and online payments. README.md is the overview; lifecycle.py is what to read first."""

from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.ccv.provider import TIMING, Ccv

__all__ = ["TIMING", "Ccv", "CcvLifecycle"]
