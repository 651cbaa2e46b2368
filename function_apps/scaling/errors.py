"""The refusals of scaling, by name."""

from collections.abc import Sequence

from shared.kernel.errors import Conflict, Invalid, NotFound, Violation


class PolicyNotFound(NotFound):
    """No such policy in the caller's tenant, or one that has ended."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(f"no scaling policy {policy_id!r}")


class ServiceUnknown(NotFound):
    """No deployment of such a service was heard of in the caller's tenant, or it is retired."""

    def __init__(self, service_id: str) -> None:
        super().__init__(
            f"no service {service_id!r} is deployed: deploy it first", target="/serviceId"
        )


class PolicyExists(Conflict):
    """The service has a policy, with other content."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(
            f"the service has the policy {policy_id}, with other content: change that with PUT"
        )


class PolicyInvalid(Invalid):
    """The rules of a policy cannot be followed; `details` has each reason."""

    def __init__(self, details: Sequence[Violation]) -> None:
        super().__init__(details[0].message, target=details[0].target, details=details)


class PolicyChanged(Conflict):
    """The policy or its service changed while it was evaluated; the next evaluation decides."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(f"{policy_id} changed while it was evaluated")
