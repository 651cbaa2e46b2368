#!/bin/sh
# `configurationDelivery: [dotenv]`: the same names and texts as variables, in a file for whoever
# reads one. A shell does; afterwards they are variables of the program that it becomes.
set -a
. "$RUNTIME_CONFIGURATION/configuration.env"
set +a
exec "$@"
