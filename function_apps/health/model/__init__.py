"""Decisions of health: pure functions.

Gates: `gate_samples`, `baseline_comparison`, `significance`, `gate_rules`, `gates`, `gate_record`.
Services: `probe_target`, `status_hysteresis`.
"""
