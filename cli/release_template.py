"""The release file that `init` writes: one web application, and in comments what else there is."""

from typing import Final

TEMPLATE: Final = """\
# A release of {module}. Check it: runtimectl validate -f {file}
# Every field is described in docs/release-file.md.
releaseRef: {slug}-{version}
# environment: test           # or --env
components:
  - moduleId: {module}
    # gateway, microservice, worker, admin-portal, customer-portal or mobile-backend
    componentType: microservice
    version: '{version}'
    # A digest, or an archive, which is uploaded: runtimectl artifact build …
    artifact: {artifact}
    # Program and words; no shell. $PORT, $HOME and $TMPDIR are filled in.
    command: {command}
    # Only says that it listens: the port is given to the process as $PORT.
    port: {port}
    # Below the environment's URL; not stripped from what the application is asked.
    pathPrefix: /
    probes:
      readiness: {{path: {readiness}, period: PT1S}}
      # liveness: {{path: {readiness}, period: PT10S}}   # restarts an instance that fails it
    resources: {{memoryMib: 512}}
    # replicas: 2
    # environ: {{LOG_LEVEL: info}}
    # dependsOn: [module-other]        # rolled out before this one
    # release: {{path: /version, field: version}}   # asked for the proof, answers the version
  # A migration before it, or runs at times: runsOnce and schedule in docs/release-file.md

# Published before the deployment, each where it differs: docs/how-to/change-configuration.md
# configuration:
#   - module: {module}
#     values: {{greeting: hello, limits: {{items: 20}}}}
#     schema: {{required: [greeting]}}   # JSON Schema 2020-12
# Bound before the deployment; a value is in the vault only.
# secrets:
#   - name: db-password
#     target: DB_PASSWORD              # the variable, or the file with delivery: file
#     generator: {{kind: random}}        # makes the first version; else it is in the vault

# How traffic moves, and what each step has to pass. What stands here are the defaults.
# strategy:
#   kind: canary                       # or recreate: stop the old version first
#   steps:
#     - {{weight: 10, pause: PT30S}}   # percent of requests; at least so long
#     - {{weight: 50}}
#     - {{weight: 100}}
# gate:
#   window: PT60S                      # of readiness, and of each window that is judged
#   minSamples: 50
#   deadline: PT10M
#   onInconclusive: pause              # pause, pass or fail; prod pauses by default, others pass
#   limits:
#     errorRatioIncreaseMax: 0.005     # against the old version
#     errorRatioMax: 0.01              # absolute, where there is no old version
#     latencyIncreaseRatioMax: 0.25    # both of these two, in two windows in a row
#     latencyIncreaseMsMax: 20
#     p95MsMax: 800                    # absolute
"""
