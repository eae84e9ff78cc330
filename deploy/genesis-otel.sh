#!/bin/sh
# `genesis-otel` as the owner of the schema. The password comes from a file and appears in no argument.
set -eu
CLICKHOUSE_URL="http://genesis:$(cat /run/genesis/password)@${CLICKHOUSE_HOST:-clickhouse:8123}/genesis"
export CLICKHOUSE_URL
exec genesis-otel "$@"
