"""The local cloud as a process of its own: what Azure's data plane is to the apps, on one machine.

    python -m local_cloud --state .factory/cloud

It declares the platform's containers and entities, and the queues and topics of another application
that `--broker` names in the form of the Service Bus emulator's Config.json. It writes the settings
of an app that uses it to its state folder, for its own user only: `app-settings.json` with keys of
its own, and `identity-settings.json` by identity, for each app. What was not declared is refused,
as in Azure, and so is who has not the role.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from local_cloud.account_keys import kept_keys
from local_cloud.broker.declaration import load_topology
from local_cloud.broker.topology import Topology
from local_cloud.cloud import CloudSettings, IdentityPorts, LocalCloud
from local_cloud.cosmos_endpoint.account import Account
from local_cloud.identity_services import IdentityServices
from local_cloud.infrastructure.endpoint import engine_of, serve_engine
from local_cloud.kept_ports import kept_port, last_addresses
from local_cloud.listeners import NotInstalled, PortTaken, StoragePorts
from local_cloud.process import ADDRESSES, APP_SETTINGS, IDENTITY_SETTINGS, LOCK, LOG, PORTS
from local_cloud.runtime_containers import runtime_containers
from local_cloud.runtime_topology import runtime_topology
from local_cloud.sqlite.database import Database
from local_cloud.storage import LocalStorage
from shared.contracts.events import BUILT
from shared.contracts.storage import CONTAINERS, DATABASE, TABLES
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.port_numbers import port_number
