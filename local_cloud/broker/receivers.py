"""The receivers of each queue: links that are handed messages, and counters of arrivals."""

from collections.abc import Iterable

from local_cloud.broker.receiver_link import ReceiverLink
from local_cloud.notifications import Arrivals


class Receivers:
    """Every receiver, by queue number."""

    def __init__(self) -> None:
        self._links: dict[int, list[ReceiverLink]] = {}
        self._arrivals: dict[int, Arrivals] = {}

    def open(self, link: ReceiverLink) -> None:
        self._links.setdefault(link.queue, []).append(link)

    def close(self, link: ReceiverLink) -> None:
        self._links[link.queue].remove(link)
        link.grant_credit(0)

    def arrivals(self, queue: int) -> Arrivals:
        return self._arrivals.setdefault(queue, Arrivals())

    def link_with_credit(self, queue: int) -> ReceiverLink | None:
        """Return a link that has credit, each in turn; None when there is none."""
        links = self._links.get(queue)
        if links is None:
            return None
        for link in links:
            if link.has_credit:
                links.remove(link)
                links.append(link)
                return link
        return None

    def notify(self, queues: Iterable[int]) -> None:
        """Tell the receivers of *queues* that something became ready."""
        for queue in queues:
            for link in self._links.get(queue, ()):
                link.notify()
            if queue in self._arrivals:
                self._arrivals[queue].notify()
