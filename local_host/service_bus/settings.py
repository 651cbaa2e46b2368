"""`extensions.serviceBus` of `host.json`.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings
"""

from dataclasses import dataclass
from datetime import timedelta

from local_host.apps.configuration import Configuration, ConfigurationRefused

_SECTION = ("extensions", "serviceBus")


@dataclass(frozen=True)
class ServiceBusSettings:
    """What the listener honours, with Azure's defaults.

    `maxConcurrentCalls` and `maxAutoLockRenewalDuration` are, as there, for cardinality one only: a
    batch function runs one batch at a time, and nobody renews the locks of a batch.
    """

    prefetch_count: int = 0
    max_concurrent_calls: int = 16
    auto_complete_messages: bool = True
    max_auto_lock_renewal_s: float = 300.0
    max_message_batch_size: int = 1000
    min_message_batch_size: int = 1
    max_batch_wait_s: float = 30.0


def settings_of(configuration: Configuration) -> ServiceBusSettings:
    """Read the settings of one app. Raises ConfigurationRefused."""
    defaults = ServiceBusSettings()

    def number(key: str, default: int, least: int = 1) -> int:
        value = configuration.number(*_SECTION, key, default=default)
        if value < least:
            raise ConfigurationRefused(
                f"host.json of {configuration.app}: {'.'.join(_SECTION)}.{key} is {value}; "
                f"write {least} or more"
            )
        return value

    def seconds(key: str, default_s: float) -> float:
        default = timedelta(seconds=default_s)
        return configuration.duration(*_SECTION, key, default=default).total_seconds()

    return ServiceBusSettings(
        number("prefetchCount", defaults.prefetch_count, least=0),
        number("maxConcurrentCalls", defaults.max_concurrent_calls),
        configuration.flag(
            *_SECTION, "autoCompleteMessages", default=defaults.auto_complete_messages
        ),
        seconds("maxAutoLockRenewalDuration", defaults.max_auto_lock_renewal_s),
        number("maxMessageBatchSize", defaults.max_message_batch_size),
        number("minMessageBatchSize", defaults.min_message_batch_size),
        seconds("maxBatchWaitTime", defaults.max_batch_wait_s),
    )
