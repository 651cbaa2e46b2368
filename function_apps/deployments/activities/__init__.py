"""One idempotent step each; every write outside carries the deployment's token."""

from function_apps.deployments.activities import (
    changing,
    draining,
    ending,
    gating,
    preparing,
    shift_traffic,
    turning_back,
)

ACTIVITIES = (
    preparing.open_rollout,
    preparing.look_at_environment,
    preparing.fix_unit,
    preparing.begin_rollout,
    changing.stop_old,
    changing.look_gone,
    changing.apply_candidate,
    changing.look_ready,
    shift_traffic.shift_traffic,
    shift_traffic.keep_capacity,
    gating.begin_step,
    gating.ask_gates,
    gating.look_at_gates,
    ending.begin_promotion,
    ending.drain_old,
    ending.complete,
    turning_back.turn_back,
    turning_back.restore,
    turning_back.remove_candidate,
    turning_back.finish_rollback,
    draining.open_drain,
    draining.cancel_page,
    draining.take_over,
    draining.drain_page,
    draining.tell_drained,
)
