"""Decisions of catalog: pure functions, in `status`, `history`, `service` and `description`."""
