#!/bin/sh
# Run by PostgreSQL's image, once, on an empty volume: a role that is no superuser, and
# the one database that it owns.
set -eu
password=$(cat /run/secrets/database-password)
psql --username postgres -v ON_ERROR_STOP=1 -v password="$password" <<'END'
CREATE ROLE watchword LOGIN PASSWORD :'password';
CREATE DATABASE watchword OWNER watchword;
END
