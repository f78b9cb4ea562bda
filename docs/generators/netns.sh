#!/bin/sh
# One server and two generators, each in a network namespace of its own: three machines in one.
#
#   echolab-a (10.77.0.2) ──┐
#                           ├── bridge 10.77.0.1 in echolab-server
#   echolab-b (10.77.0.3) ──┘
#
# Run it as root with `server` and `loadgen` in PATH; it needs iproute2. Everything that it makes is
# gone when it ends. The arguments go to the server: `netns.sh --mode async`.
set -eu

results=$(mktemp -d)
server_pid=
clean_up() {
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
    for name in server a b; do
        ip netns delete "echolab-$name" 2>/dev/null || true
    done
    rm -rf "$results"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

inside() {
    space=echolab-$1
    shift
    ip netns exec "$space" "$@"
}

# A namespace with a cable to the bridge of the server's.
connect() {
    name=$1
    address=$2
    ip netns add "echolab-$name"
    ip link add "to-$name" netns echolab-server type veth peer name uplink netns "echolab-$name"
    inside server ip link set "to-$name" master bridge up
    inside "$name" ip address add "$address/24" dev uplink
    inside "$name" ip link set uplink up
}

ip netns add echolab-server
inside server ip link add bridge type bridge
inside server ip address add 10.77.0.1/24 dev bridge
inside server ip link set bridge up
connect a 10.77.0.2
connect b 10.77.0.3

[ $# -gt 0 ] || set -- --mode thread-pool --workers 4
inside server server 10.77.0.1:7007 "$@" >"$results/ready" &
server_pid=$!
until [ -s "$results/ready" ]; do
    kill -0 "$server_pid" # It may have refused to start.
    sleep 0.1
done
cat "$results/ready"

# Both play their part of the same 50 clients, and begin at the same moment.
start=$(($(date +%s) + 2))
for part in a:0 b:1; do
    inside "${part%:*}" loadgen 10.77.0.1:7007 -c 50 -d 5s \
        --shard "${part#*:}/2" --start-at "$start" \
        --format json -o "$results/${part%:*}.json" &
    eval "pid_${part%:*}=\$!"
done
# Nobody served in one part is its exit code 3, and no failure of this script.
wait "$pid_a" || echo "generator a ended with code $?"
wait "$pid_b" || echo "generator b ended with code $?"

for name in a b; do
    echo
    echo "generator $name alone:"
    loadgen report "$results/$name.json"
done
echo
echo "both:"
loadgen merge "$results/a.json" "$results/b.json"
