"""The steps of a rollout and of a drain: idempotent, and fenced where they write outside."""

from typing import Final

from function_apps.deployments.activities import (
    analyze_step,
    apply_revision,
    begin_rollback,
    begin_rollout,
    check_environment,
    complete_release,
    drain_environment,
    pin_release_unit,
    restore_previous,
    shift_traffic,
)

ACTIVITIES: Final = (
    begin_rollout.start_rollout,
    check_environment.check_environment,
    pin_release_unit.pin_release_unit,
    begin_rollout.begin_rollout,
    apply_revision.stop_previous,
    apply_revision.stop_candidate,
    apply_revision.apply_candidate,
    apply_revision.check_ready,
    analyze_step.begin_step,
    shift_traffic.shift_traffic,
    shift_traffic.keep_capacity,
    analyze_step.request_analysis,
    analyze_step.check_analysis,
    complete_release.begin_promotion,
    complete_release.drain_previous,
    apply_revision.check_drained,
    complete_release.complete_release,
    begin_rollback.begin_rollback,
    restore_previous.restore_previous,
    restore_previous.remove_candidate,
    restore_previous.finish_rollback,
    drain_environment.begin_drain,
    drain_environment.cancel_page,
    drain_environment.acquire_drain_fence,
    drain_environment.drain_page,
    drain_environment.publish_drained,
    drain_environment.record_drain_failure,
)
