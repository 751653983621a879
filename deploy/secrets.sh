#!/bin/sh
# Draws the secrets that compose.yaml and the manifests refer to, into deploy/secrets,
# and replaces none that are there.
set -eu
umask 022
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "deploy/secrets is there already: nothing was changed" >&2
    exit 1
fi

draw() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# Whole or not at all. The files can be read by all, because they are mounted into
# containers that run as other users; into the folder only its owner gets.
rm -rf secrets.new
mkdir -m 700 secrets.new
database=$(draw)
valkey=$(draw)
draw >secrets.new/server-secret
draw >secrets.new/admin-password
draw >secrets.new/postgres-password
printf '%s' "$database" >secrets.new/database-password
cat >secrets.new/valkey.conf <<END
requirepass $valkey
END
cat >secrets.new/watchword.toml <<END
database_url = "postgresql://watchword:$database@postgres:5432/watchword"
session_store_url = "redis://:$valkey@valkey:6379/0"
END
mv secrets.new secrets
echo "made deploy/secrets: back it up, apart from the database"
