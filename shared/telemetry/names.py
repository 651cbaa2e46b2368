"""Names of what is recorded: attributes, kinds of work, metrics. docs/telemetry.md shows them.

Nothing else is ever recorded: no header, query, body, message or text of an error, so neither
tokens nor secrets. Metrics have few values of each attribute: never a tenant or an id.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

NAMESPACE: Final = "factory-runtime"
VERSION: Final = "0.2.0"
"""The release of this code, as in pyproject.toml, which no package has."""

TENANT: Final = "tenantId"
PROJECT: Final = "projectId"
MODULE: Final = "moduleId"
TRACE: Final = "traceId"
CORRELATION: Final = "correlationId"
ENVIRONMENT: Final = "environment"
OPERATION: Final = "operationId"
SERVICE: Final = "service"
ERROR_CODE: Final = "errorCode"
METHOD: Final = "http.request.method"
ROUTE: Final = "http.route"
STATUS: Final = "http.response.status_code"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_TYPE: Final = "messageType"
OUTCOME: Final = "outcome"
ACTIVITY: Final = "activity"
ATTEMPT: Final = "attempt"
ORCHESTRATION: Final = "orchestration"
PORT: Final = "port"
CALL: Final = "call"
TIMER: Final = "timer"
KIND: Final = "kind"
STATE: Final = "status"
REASON: Final = "reason"
DIRECTION: Final = "direction"
EXPORTER: Final = "exporter"

ATTRIBUTES: Final[Mapping[str, str]] = {
    TENANT: "the tenant whose data it is",
    PROJECT: "the project of a message",
    MODULE: "the module of a message",
    TRACE: "our trace id, as in the envelope, answers and logs",
    CORRELATION: "one workflow, as in the envelope",
    ENVIRONMENT: "the environment, `env-…`",
    OPERATION: "the operation that was begun, or that an activity works for",
    SERVICE: "the service: `deployments`",
    ERROR_CODE: "the code of [docs/errors](errors/README.md), or the name of a defect's type",
    METHOD: "GET, POST, PUT, DELETE",
    ROUTE: "the template of the route, never the path",
    STATUS: "the status of the answer",
    DESTINATION: "the topic or queue",
    MESSAGE_ID: "the event id",
    MESSAGE_TYPE: "the type of the event or command",
    OUTCOME: "of a message: `handled` or `parked`",
    ACTIVITY: "the Durable name of the activity",
    ATTEMPT: "which try of the call it is, from 1",
    ORCHESTRATION: "the Durable name of the orchestration",
    PORT: "what was called: `surface`, `engine`, `vault`, `app`",
    CALL: "the method of the port",
    TIMER: "the timer's name: `sweep_outbox`",
    KIND: "of an operation or a deployment; of a number of instances `desired` or `actual`",
    STATE: "of an operation, a deployment or a service's health",
    REASON: "why scaling decided so: `Rule`, `Limited`, `Cooldown`, `Paused`, `Rollout`, …",
    DIRECTION: "where the number goes: `up`, `down`, `none`",
    EXPORTER: "`otlp`, `console`, `applicationinsights`",
}


class Work(NamedTuple):
    """A kind of work: a span each time it is done, and a histogram of its duration in seconds.

    `span` is the OpenTelemetry kind of the span, None where there is only the histogram;
    `dimensions` are the attributes that the histogram has.
    """

    metric: str
    span: str | None
    dimensions: tuple[str, ...]
    meaning: str


REQUEST: Final = Work(
    "runtime.request.duration", "server", (METHOD, ROUTE, STATUS), "one HTTP request, a command say"
)
MESSAGE: Final = Work(
    "runtime.message.duration",
    "consumer",
    (MESSAGE_TYPE, OUTCOME, ERROR_CODE),
    "one message handed to its handler, with the tries inside one delivery",
)
PUBLICATION: Final = Work(
    "runtime.publication.duration",
    "producer",
    (MESSAGE_TYPE, DESTINATION, ERROR_CODE),
    "an event or command of the outbox sent to the broker",
)
START: Final = Work(
    "runtime.start.duration",
    "producer",
    (ORCHESTRATION, ERROR_CODE),
    "an orchestration of the outbox started",
)
ACTIVITY_RUN: Final = Work(
    "runtime.activity.duration",
    "internal",
    (ACTIVITY, ERROR_CODE),
    "one attempt at an activity; replays of its orchestration have none",
)
OUTSIDE_CALL: Final = Work(
    "runtime.call.duration",
    "client",
    (PORT, CALL, ERROR_CODE),
    "a call outside, as part of one of the above",
)
TIMER_RUN: Final = Work(
    "runtime.timer.duration", None, (TIMER, ERROR_CODE), "one run of a timer; it has no span"
)
WORKS: Final = (REQUEST, MESSAGE, PUBLICATION, START, ACTIVITY_RUN, OUTSIDE_CALL, TIMER_RUN)


class Metric(NamedTuple):
    """One figure. `instrument` is `counter`, `gauge` or `histogram`."""

    name: str
    instrument: str
    unit: str
    dimensions: tuple[str, ...]
    meaning: str


DEPLOYMENT_DURATION: Final = Metric(
    "runtime.deployment.duration", "histogram", "s", (KIND, STATE),
    "from the request to the end of a deployment",
)  # fmt: skip
ROLLBACK_RATE: Final = Metric(
    "runtime.deployment.rollback.rate", "gauge", "1", (),
    "share that was rolled back, of the last 100 releases that ended at this instance",
)  # fmt: skip
HEALTH_STATUS: Final = Metric(
    "runtime.health.status", "gauge", "{service}", (STATE,),
    "services in each status, of those heard of in the last 15 min at this instance",
)  # fmt: skip
SCALING_REPLICAS: Final = Metric(
    "runtime.scaling.replicas", "gauge", "{instance}", (KIND,),
    "of all services with a policy that was evaluated in the last run at this instance: how many"
    " instances are wanted, and how many there were; a service that could not be read is in"
    " neither",
)  # fmt: skip
SCALING_ACTIONS: Final = Metric(
    "runtime.scaling.actions", "counter", "{decision}", (REASON, DIRECTION),
    "evaluations of policies: what each decided and why; held and limited ones by their reason",
)  # fmt: skip
OPERATIONS: Final = Metric(
    "runtime.operations", "counter", "{operation}", (KIND, STATE),
    "operations that came into a status: NotStarted once each, then how they ended",
)  # fmt: skip
OPERATION_DURATION: Final = Metric(
    "runtime.operation.duration", "histogram", "s", (KIND, STATE),
    "from the acceptance to the end of an operation",
)  # fmt: skip
DUE: Final = Metric(
    "runtime.sweep.due", "gauge", "{document}", (TIMER,),
    "documents that a timer found due; of `sweep_outbox` the rows that were left behind",
)  # fmt: skip
UNDONE: Final = Metric(
    "runtime.sweep.undone", "gauge", "{document}", (TIMER,),
    "documents on which a timer failed, and that it tries again",
)  # fmt: skip
OUTBOX_AGE: Final = Metric(
    "runtime.outbox.age", "histogram", "s", (KIND,),
    "age of an outbox row when the change feed or the sweeper relayed it",
)  # fmt: skip
LOST: Final = Metric(
    "runtime.telemetry.lost", "counter", "{span}", (EXPORTER,),
    "spans that were dropped: the exporter was too slow, or did not deliver",
)  # fmt: skip
METRICS: Final = (
    DEPLOYMENT_DURATION, ROLLBACK_RATE, HEALTH_STATUS, SCALING_REPLICAS, SCALING_ACTIONS,
    OPERATIONS, OPERATION_DURATION, DUE, UNDONE, OUTBOX_AGE, LOST,
)  # fmt: skip
