#!/bin/sh
# Passwords for the services of docker-compose.yml: created once, kept from then on, each readable only by the service that needs it.
#
#   secrets.sh init     create what is missing (run by `docker compose up`)
#   secrets.sh show     show how to reach the services, including passwords
#   secrets.sh rotate   new passwords for ClickHouse; then restart the collector and Grafana
#
# In: folders below $SECRETS, one volume each. Out: files in them, readable by the user of the one image that mounts the
# folder. On failure: a line on standard error and an exit code, and nothing half-made is ever used.
set -eu
umask 077

SECRETS=${SECRETS:-/secrets}
USERS_XML=${USERS_XML:-/deploy/clickhouse/users.xml}
BUSYBOX=${BUSYBOX:-/bin/busybox}
HASHES=$SECRETS/clickhouse/passwords.xml

# The users of the images.
CLICKHOUSE=101:101 COLLECTOR=10001:10001 GRAFANA=472:0 OWNER=10002:10002

fail() {
    echo "secrets: $*" >&2
    exit 1
}

# Only letters and digits: nothing to escape in a URL, in XML or in YAML. 40 of them are 238 bits.
password() {
    made=$(tr -dc 'A-Za-z0-9' < /dev/urandom | head -c 40)
    [ ${#made} -eq 40 ] || fail "no random bytes available"
    printf %s "$made"
}

hash() {
    sum=$(printf %s "$1" | sha256sum)
    sum=${sum%% *}
    [ ${#sum} -eq 64 ] || fail "sha256sum does not work"
    printf %s "$sum"
}

# Write standard input to a file that is either complete or absent.
put() {
    cat > "$1.new"
    chmod "$2" "$1.new"
    give "$3" "$1.new"
    mv "$1.new" "$1"
}

# Without root (tests, user namespaces) the current user owns everything.
give() {
    if [ "$(id -u)" = 0 ]; then chown "$@"; fi
}

clickhouse_passwords() {
    # Into variables first: a command that fails within a pipe or a string does not end the script.
    owner=$(password)
    ingest=$(password)
    grafana=$(password)
    owner_hash=$(hash "$owner")
    ingest_hash=$(hash "$ingest")
    grafana_hash=$(hash "$grafana")
    printf %s "$owner" | put "$SECRETS/owner/password" 0400 $OWNER
    printf %s "$ingest" | put "$SECRETS/collector/password" 0400 $COLLECTOR
    printf %s "$grafana" | put "$SECRETS/grafana/clickhouse_password" 0400 $GRAFANA
    # Last: as long as it is not there, none of the passwords is in use.
    put "$HASHES" 0440 $CLICKHOUSE << XML
<clickhouse>
    <users>
        <genesis><password_sha256_hex>$owner_hash</password_sha256_hex></genesis>
        <ingest><password_sha256_hex>$ingest_hash</password_sha256_hex></ingest>
        <grafana><password_sha256_hex>$grafana_hash</password_sha256_hex></grafana>
    </users>
</clickhouse>
XML
}

init() {
    for each in clickhouse:$CLICKHOUSE collector:$COLLECTOR grafana:$GRAFANA owner:$OWNER queue:$COLLECTOR \
        backups:$CLICKHOUSE; do
        mkdir -p "$SECRETS/${each%%:*}"
        give "${each#*:}" "$SECRETS/${each%%:*}"
        chmod 0700 "$SECRETS/${each%%:*}"
    done
    if [ ! -e "$HASHES" ]; then
        clickhouse_passwords
        echo "secrets: created passwords for ClickHouse's users"
    fi
    for each in admin_password secret_key; do
        if [ ! -e "$SECRETS/grafana/$each" ]; then
            made=$(password)
            printf %s "$made" | put "$SECRETS/grafana/$each" 0400 $GRAFANA
            echo "secrets: created Grafana's $each"
        fi
    done
    for each in owner/password collector/password grafana/clickhouse_password; do
        [ -e "$SECRETS/$each" ] || fail "$each is missing, and ClickHouse has only its hash: create new passwords with" \
            "'docker compose run --rm secrets rotate'"
    done
    # Users and their rights are read from the checkout at every start.
    put "$SECRETS/clickhouse/genesis.xml" 0440 $CLICKHOUSE < "$USERS_XML"
    # The collector's image has no program for its health check, and Grafana's may drop the one that it has.
    put "$SECRETS/collector/wget" 0555 $COLLECTOR < "$BUSYBOX"
    put "$SECRETS/grafana/wget" 0555 $GRAFANA < "$BUSYBOX"
}

show() {
    [ -e "$HASHES" ] || fail "there are no passwords yet: 'docker compose up' creates them"
    clickhouse=127.0.0.1:${CLICKHOUSE_PORT:-8123}
    cat << TEXT
Grafana     http://127.0.0.1:${GRAFANA_PORT:-3000}
            user admin, password $(cat "$SECRETS/grafana/admin_password")
            (the initial one; it may have been changed in Grafana since)

A search    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:${OTLP_HTTP_PORT:-4318}

Reading     CLICKHOUSE_URL=http://grafana:$(cat "$SECRETS/grafana/clickhouse_password")@$clickhouse/genesis
Schema      CLICKHOUSE_URL=http://genesis:$(cat "$SECRETS/owner/password")@$clickhouse/genesis
Adding      CLICKHOUSE_URL=http://ingest:$(cat "$SECRETS/collector/password")@$clickhouse/genesis
TEXT
}

case "${1:-init}" in
    init) init ;;
    show) show ;;
    rotate)
        clickhouse_passwords
        echo "secrets: new passwords for ClickHouse's users; now: docker compose up -d --force-recreate"
        ;;
    *) fail "unknown command '$1': use init, show or rotate" ;;
esac
