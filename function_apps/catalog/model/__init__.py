"""Decisions of catalog: pure functions, in `states`, `history`, `service` and `telling`."""
