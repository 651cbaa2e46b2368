"""One idempotent step each of applying and decommissioning; every write outside has a fence."""

from function_apps.environments.activities import applying, decommissioning, running

ACTIVITIES = (
    running.begin_work,
    applying.plan_apply,
    applying.begin_apply,
    decommissioning.begin_destroy,
    running.apply_piece,
    applying.conclude_apply,
    decommissioning.await_drain,
    decommissioning.drain_seconds,
    decommissioning.conclude_destroy,
    running.record_failure,
)
