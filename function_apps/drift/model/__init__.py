"""Decisions of drift: pure functions of what is recorded, what is live, and what is known."""
