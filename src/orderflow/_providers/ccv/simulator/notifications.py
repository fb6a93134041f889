"""CCV's status notifications: which URL gets one, and whether CCV lets it out. Contains only: these rules, and the sending."""

from __future__ import annotations

from urllib.parse import urlsplit

from orderflow._providers.ccv import wire
from orderflow._providers.ccv.simulator.plans import Plan
from orderflow._providers.ccv.simulator.switches import CcvSwitches
from orderflow._simulators.deliveries import Deliveries


class Notifier:
    """Sends the notifications that an order subscribed to."""

    def __init__(self, switches: CcvSwitches, deliveries: Deliveries) -> None:
        self._switches = switches
        self._deliveries = deliveries

    def notify(self, submitted: wire.Submit, plan: Plan, status: str) -> None:
        """Notify about a status in the background, as often as the plan has it."""
        url = self._find_url(submitted, status)
        if url is None:
            return
        timeout = self._switches.notification_timeout if plan.notification_timeout is None else plan.notification_timeout
        for _ in range(plan.notifications):
            self._deliveries.send_in_background("POST", url, timeout=timeout)

    async def notify_now(self, submitted: wire.Submit, status: str) -> None:
        """Notify about a status, and return when the notification was answered."""
        if (url := self._find_url(submitted, status)) is not None:
            await self._deliveries.send("POST", url)

    def send_foreign(self, submitted: wire.Submit) -> None:
        """Send a request to the notification URL in the background, although nothing has changed."""
        if (url := _url(submitted)) is not None:
            self._deliveries.send_in_background("POST", url)

    def _find_url(self, submitted: wire.Submit, status: str) -> str | None:
        """The URL to notify about this status: it was given, the status is subscribed to, and CCV lets the request out."""
        subscription = submitted.status_notification_information
        if subscription is None:
            return None
        statuses = subscription.notify_on_status
        subscribed = status in statuses if statuses else self._switches.empty_filter_notifies_all
        url = _url(submitted)
        return url if subscribed and url is not None and self._is_allowed(url) else None

    def _is_allowed(self, url: str) -> bool:
        allowed = self._switches.allow_list
        if allowed is None:
            return True
        match self._switches.allow_list_match:
            case "url":
                return url in allowed
            case "prefix":
                return any(url.startswith(entry) for entry in allowed)
        hosts = {urlsplit(entry).hostname or entry for entry in allowed}
        return urlsplit(url).hostname in hosts


def _url(submitted: wire.Submit) -> str | None:
    subscription = submitted.status_notification_information
    return None if subscription is None else subscription.notification_url
