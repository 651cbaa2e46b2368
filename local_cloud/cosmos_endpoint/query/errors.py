"""The refusal of a query, as the protocol's 400 says it."""


class SqlRefused(Exception):
    """The text is not a query, or asks for what is not served here."""
