"""A web server as objects of Kubernetes: a Deployment, and the Service of its pods."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.kit.program_images import PORT

Object = Mapping[str, Any]


def web_server(name: str, image: str, replicas: int = 2) -> Sequence[Object]:
    """Return a Deployment and a Service, both called *name*; it leaves slowly, as it should."""
    labels = {"app": name}
    container = {
        "name": "main",
        "image": image,
        "readinessProbe": {"httpGet": {"path": "/v2/", "port": PORT}, "periodSeconds": 1},
        # What is sent while the word goes round that it leaves is still answered.
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "type": "NodePort",
            "selector": labels,
            "ports": [{"port": 80, "targetPort": PORT}],
        },
    }
    return deployment, service
