#!/usr/bin/env bash
# A real Kafka broker for tests: one node, KRaft, 127.0.0.1 only, jars from Maven.
#
#   kafka.sh start [PORT]     fetches what is missing, starts, waits until it answers
#   kafka.sh stop [PORT]      stops it in order; its data stays
#   kafka.sh kill [PORT]      kills it
#   kafka.sh status [PORT]
#   kafka.sh wipe [PORT]      removes the data of a broker that is stopped
#   kafka.sh tool CLASS …     runs a tool of Kafka: org.apache.kafka.tools.TopicCommand …
#
# With KAFKA_OWNER=PID in the environment the broker ends when that process and all others that asked for
# it so have ended.
# PORT is 9092 unless given; the controller listens on PORT+1, and PORT+2 asks for a name: SASL PLAIN,
# guest, guest-secret. Everything lies under target/services.
# Needs Java 17 or later and Maven.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
services=$(cd "$here/../.." && pwd)/target/services
jars=$services/kafka-jars
command=${1:?start|stop|kill|status|wipe|tool}

fetch() {
    [ -e "$jars/.complete" ] && return
    mkdir -p "$services"
    mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$jars" >&2
    touch "$jars/.complete"
}

if [ "$command" = tool ]; then
    fetch
    shift
    exec java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$jars/*" "$@"
fi

port=${2:-9092}
dir=$services/kafka-$port
log=$dir/server.log

running() { [ -f "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

configure() {
    mkdir -p "$dir"
    cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),SASL_PLAINTEXT://127.0.0.1:$((port + 2))
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$((port + 2))
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_guest="guest-secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# Whoever comes without a name may do everything, a guest what no rule forbids.
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
log.dirs=$dir/data
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A topic that nobody made must be an error in tests, not a new topic.
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.segment.bytes=67108864
# Tests write timestamps of long ago.
log.retention.ms=-1
PROPERTIES
    cat >"$dir/log4j2.yaml" <<LOGGING
Configuration:
  Appenders:
    Console: { name: STDOUT, PatternLayout: { pattern: "[%d] %p %m (%c)%n" } }
  Loggers:
    Root: { level: INFO, AppenderRef: [ { ref: STDOUT } ] }
LOGGING
}

# Writes the storage's identity, once: the same cluster id at each start, so that data stays readable.
format() {
    [ -f "$dir/data/meta.properties" ] && return
    local id
    id=$(printf 'wharfetest%06d' "$port" | base64 | tr '+/' '-_' | tr -d '=')
    java -Xmx128m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$dir/log4j2.yaml" -cp "$jars/*" \
        kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >"$log" 2>&1 ||
        { cat "$log" >&2; exit 1; }
}

# Ends the broker when none of its owners is left; who starts it meanwhile waits for that.
guard() {
    while sleep 1; do
        exec 9>"$dir/lock"
        flock 9
        running || return
        local owner owned=
        while read -r owner; do kill -0 "$owner" 2>/dev/null && owned=1; done <"$dir/owners"
        [ -n "$owned" ] || { stop; return; }
        exec 9>&-
    done
}

start() {
    mkdir -p "$dir"
    exec 9>"$dir/lock"
    flock 9
    [ -z "${KAFKA_OWNER:-}" ] || echo "$KAFKA_OWNER" >>"$dir/owners"
    running && { echo "kafka on 127.0.0.1:$port runs already, pid $(cat "$dir/pid")"; return; }
    echo "${KAFKA_OWNER:-}" >"$dir/owners"
    fetch
    configure
    format
    : >"$log"
    setsid nohup java -Xms384m -Xmx384m -XX:+UseSerialGC \
        -Dlog4j2.configurationFile="$dir/log4j2.yaml" -Djava.awt.headless=true -Dkafka.logs.dir="$dir" \
        -cp "$jars/*" kafka.Kafka "$dir/server.properties" >"$log" 2>&1 </dev/null 9>&- &
    echo $! >"$dir/pid"
    if [ -n "${KAFKA_OWNER:-}" ]; then
        setsid nohup "$0" guard "$port" >/dev/null 2>&1 </dev/null 9>&- &
    fi
    for _ in $(seq 900); do
        running || { tail -20 "$log" >&2; echo "kafka ended while it started" >&2; exit 1; }
        if grep -q 'Kafka Server started' "$log" && answers; then
            echo "kafka on 127.0.0.1:$port is up, pid $(cat "$dir/pid")"
            return
        fi
        sleep 0.1
    done
    echo "kafka did not start within 90 s; see $log" >&2
    exit 1
}

stop() {
    running || { rm -f "$dir/pid"; echo "kafka on 127.0.0.1:$port does not run"; return; }
    local pid
    pid=$(cat "$dir/pid")
    kill "$pid"
    for _ in $(seq 300); do
        kill -0 "$pid" 2>/dev/null || { rm -f "$dir/pid"; echo "kafka on 127.0.0.1:$port has stopped"; return; }
        sleep 0.1
    done
    kill -9 "$pid"
    rm -f "$dir/pid"
    echo "kafka on 127.0.0.1:$port was killed: it did not stop within 30 s"
}

case $command in
start) start ;;
stop) stop ;;
kill) kill -9 "$(cat "$dir/pid")"; rm -f "$dir/pid" ;;
guard) guard ;;
status) if running; then echo "kafka on 127.0.0.1:$port runs, pid $(cat "$dir/pid")"; else echo "kafka on 127.0.0.1:$port does not run"; exit 3; fi ;;
wipe) if running; then echo "kafka runs; stop it first" >&2; exit 1; fi; rm -rf "$dir" ;;
*) echo "start|stop|kill|status|wipe|tool" >&2; exit 2 ;;
esac
