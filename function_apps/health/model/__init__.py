"""Decisions of health: pure functions, in `hysteresis`, `gates` and `significance`."""
