"""One idempotent step each; a version that is made carries the operation that made it."""

from typing import Final

from function_apps.secret_bindings.activities import first_version

ACTIVITIES: Final = (
    first_version.find_version,
    first_version.complete_binding,
    first_version.record_binding_failure,
)
