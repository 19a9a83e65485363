#!/usr/bin/env bash
# A real OpenSearch for tests: one node on 127.0.0.1, jars from Maven, no container.
#
#   opensearch.sh start [PORT]     fetches what is missing, starts, waits until it answers
#   opensearch.sh stop [PORT]      stops it in order; its data stays
#   opensearch.sh status [PORT]
#   opensearch.sh wipe [PORT]      removes the data of a node that is stopped
#
# PORT is 9200 unless given; nodes talk on PORT+100. Everything lies under target/services.
# Needs Java 17 or later with javac, and Maven.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
services=$(cd "$here/../.." && pwd)/target/services
jars=$services/opensearch-jars
classes=$services/opensearch-classes
command=${1:?start|stop|status|wipe}
port=${2:-9200}
home=$services/opensearch-$port
heap=${OPENSEARCH_HEAP:-512m}

fetch() {
    if [ ! -e "$jars/.complete" ]; then
        mkdir -p "$services"
        mvn -q -B -f "$here/opensearch/pom.xml" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$jars" >&2
        touch "$jars/.complete"
    fi
    if [ ! "$classes/OsNode.class" -nt "$here/opensearch/src/OsNode.java" ]; then
        mkdir -p "$classes"
        javac -nowarn -cp "$jars/*" -d "$classes" "$here/opensearch/src/OsNode.java"
    fi
}

pid() { cat "$home/pid" 2>/dev/null || true; }
alive() { [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

case $command in
start)
    alive && { echo "http://127.0.0.1:$port"; exit; }
    fetch
    mkdir -p "$home/config" "$home/data" "$home/logs"
    : >"$home/config/opensearch.yml"
    cat >"$home/log4j2.properties" <<'LOG'
appender.c.type = Console
appender.c.name = out
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %p %c: %m%n
rootLogger.level = warn
rootLogger.appenderRef.c.ref = out
LOG
    setsid nohup java "-Xms$heap" "-Xmx$heap" -XX:+UseSerialGC -Djava.awt.headless=true \
        -Dlog4j2.configurationFile="$home/log4j2.properties" -Dlog4j2.disable.jmx=true \
        -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dopensearch.path.home="$home" \
        -cp "$classes:$jars/*" OsNode "$home" "$port" "$((port + 100))" >"$home/log" 2>&1 </dev/null &
    echo $! >"$home/pid"
    for _ in $(seq 1200); do
        alive || { tail -20 "$home/log" >&2; echo "opensearch ended" >&2; exit 1; }
        if curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s"; then
            echo "http://127.0.0.1:$port"
            exit
        fi
        sleep 0.1
    done
    echo "opensearch did not answer within two minutes" >&2
    exit 1
    ;;
stop)
    alive || exit 0
    kill "$(pid)"
    for _ in $(seq 300); do
        alive || { rm -f "$home/pid"; exit; }
        sleep 0.1
    done
    kill -9 "$(pid)"
    rm -f "$home/pid"
    ;;
status) if alive; then echo "runs as $(pid)"; else echo "does not run"; fi ;;
wipe)
    alive && { echo "stop it first" >&2; exit 1; }
    rm -rf "$home"
    ;;
*) echo "unknown command $command" >&2; exit 2 ;;
esac
