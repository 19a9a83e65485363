#!/usr/bin/env bash
# A real S3 server for tests: versitygw over a directory, on 127.0.0.1, built with Go, no container.
#
#   s3.sh start [PORT]     builds it the first time, starts, waits until it answers
#   s3.sh stop [PORT]      stops it; its data stays
#
# PORT is 9000 unless given. The access key is `lab`, the secret `labsecret1`; a bucket is a directory below
# target/services/s3-PORT/data. Everything lies under target/services. Needs Go.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
services=$(cd "$here/../.." && pwd)/target/services
server=${S3_SERVER:-$services/s3-bin/versitygw}
command=${1:?start|stop}
port=${2:-9000}
home=$services/s3-$port

pid() { cat "$home/pid" 2>/dev/null || true; }
alive() { [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

case $command in
start)
    if alive; then exit 0; fi
    if [ ! -x "$server" ]; then
        GOBIN=$(dirname "$server") go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 >&2
    fi
    mkdir -p "$home/data" "$home/sidecar"
    ROOT_ACCESS_KEY=lab ROOT_SECRET_KEY=labsecret1 setsid nohup "$server" --port "127.0.0.1:$port" \
        --region us-east-1 --health /healthz --quiet posix --sidecar "$home/sidecar" "$home/data" \
        >"$home/server.log" 2>&1 </dev/null &
    echo $! >"$home/pid"
    for _ in $(seq 300); do
        if ! alive; then
            cat "$home/server.log" >&2
            exit 1
        fi
        if curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/healthz"; then exit 0; fi
        sleep 0.1
    done
    echo "it does not answer" >&2
    exit 1
    ;;
stop)
    if alive; then kill "$(pid)"; fi
    rm -f "$home/pid"
    ;;
*)
    echo "s3.sh start|stop [PORT]" >&2
    exit 2
    ;;
esac
