"""Decisions of catalog: pure functions, in `states`, `history` and `service`."""
