"""Decisions of health: pure functions.

Gates: `counting`, `comparing`, `significance`, `rules`, `gates`, `evidence`.
Services: `target`, `hysteresis`, `telling`.
"""
