"""Which queues and topics the bindings of a host name, and which of them cannot be.

In Azure a name belongs to a queue or to a topic, for the whole namespace; a binding that takes it
for the other never works. Here the function that comes second is refused.
"""

from typing import Final

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import DEAD_LETTER_SUFFIX, check_name, entity_path
from local_host.model import Binding, IndexedFunction
from shared.kernel.errors import Invalid

_SUBSCRIPTION_MAX: Final = 50
"""https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""


class EntityKinds:
    """The names that were seen, with what they name and for whom."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._seen: dict[str, tuple[str, str]] = {}

    def check(self, function: IndexedFunction, binding: Binding) -> None:
        """Raise Invalid where *binding* names nothing that can be, or another kind's name."""
        queue, topic = binding.text("queueName"), binding.text("topicName")
        kind, name = ("topic", topic) if topic else ("queue", queue)
        if not name:
            raise Invalid(
                f'its binding {binding.name!r} names no queue or topic: write queue_name="orders",'
                " say"
            )
        check_name(name.lower().removesuffix(DEAD_LETTER_SUFFIX))
        if kind == "topic" and binding.direction == "in":
            self._check_subscription(binding)
        self._check_kind(function, kind, entity_path(name).removesuffix(DEAD_LETTER_SUFFIX))

    def _check_subscription(self, binding: Binding) -> None:
        name = binding.text("subscriptionName").lower().removesuffix(DEAD_LETTER_SUFFIX)
        if not name or "/" in name or len(name) > _SUBSCRIPTION_MAX:
            raise Invalid(
                f"its subscription is called {name[:80]!r}: write 1 to {_SUBSCRIPTION_MAX}"
                " characters without a slash"
            )
        check_name(name)

    def _check_kind(self, function: IndexedFunction, kind: str, path: str) -> None:
        known = self._broker.kind_of(path)
        held, holder = self._seen.get(path, (known or kind, "the namespace"))
        if held != kind:
            raise Invalid(
                f"{path} is a {held} (of {holder}), so there is no {kind} of that name:"
                f" choose another name, or write {held}_name"
            )
        self._seen.setdefault(path, (kind, function.name))
