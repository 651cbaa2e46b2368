"""One idempotent step each; a version that is made carries the operation that made it."""

from typing import Final

from function_apps.secret_bindings.activities import (
    change_over,
    create_version,
    first_version,
    revoke_versions,
)

ACTIVITIES: Final = (
    first_version.find_version,
    first_version.complete_binding,
    first_version.record_binding_failure,
    create_version.create_version,
    create_version.set_at_resource,
    create_version.test_version,
    change_over.roll_out,
    change_over.move_bindings,
    change_over.begin_overlap,
    revoke_versions.retire_logins,
    revoke_versions.revoke_versions,
    revoke_versions.complete_rotation,
    revoke_versions.record_rotation_failure,
)
