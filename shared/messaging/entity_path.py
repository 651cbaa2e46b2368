"""The path of a subscription below its topic, which Service Bus reads in any case."""

from typing import Final

SUBSCRIPTIONS: Final = "/subscriptions/"


def subscription_path(topic: str, subscription: str) -> str:
    return f"{topic}{SUBSCRIPTIONS}{subscription}"


def split_path(path: str) -> tuple[str, str | None]:
    """Return the topic and the subscription of *path*; of a queue its name and None."""
    at = path.lower().rfind(SUBSCRIPTIONS)  # a topic's name may have slashes
    return (path, None) if at < 0 else (path[:at], path[at + len(SUBSCRIPTIONS) :])
