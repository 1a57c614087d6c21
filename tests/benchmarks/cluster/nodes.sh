#!/usr/bin/env bash
# "Machines" on this one: node1, node2, ... share its files, but each has a network, a host name and
# processes of its own. To kill one ends all of its processes at once, as when its power goes.
#   nodes.sh up N | start NODE | run NODE COMMAND... | kill NODE | down
# Needs root, iproute2 and util-linux. This machine is 10.77.0.1 to them, node1 10.77.0.11.
set -euo pipefail
bridge=hpsnet net=10.77.0 state=/run/hpsearch-nodes

start() {
    local number=${1#node} parent
    ip netns add "$1"
    ip link add "hps$number" type veth peer name eth0 netns "$1"
    ip link set "hps$number" master "$bridge" up
    ip -n "$1" addr add "$net.$((10 + number))/24" dev eth0
    ip -n "$1" link set lo up
    ip -n "$1" link set eth0 up
    # The node's first process: the kernel ends the others with it.
    nsenter --net="/run/netns/$1" setsid unshare --uts --mount --pid --fork --kill-child \
        --mount-proc bash -c "hostname $1; while :; do sleep 1; done" </dev/null &>/dev/null &
    parent=$!
    until pgrep -P "$parent" bash >"$state/$1"; do sleep 0.1; done
}

kill_node() {
    kill -KILL "$(cat "$state/$1")"
    sleep 0.5
    ip netns del "$1"
    ip link del "hps${1#node}" 2>/dev/null || true
    rm "$state/$1"
}

case $1 in
up)
    mkdir -p "$state"
    ip link add "$bridge" type bridge
    ip addr add "$net.1/24" dev "$bridge"
    ip link set "$bridge" up
    for number in $(seq "$2"); do start "node$number"; done
    ;;
start) start "$2" ;;
run) exec nsenter --target "$(cat "$state/$2")" --net --uts --mount --pid -- "${@:3}" ;;
kill) kill_node "$2" ;;
down)
    for one in "$state"/*; do [ -e "$one" ] && kill_node "${one##*/}"; done
    ip link del "$bridge"
    rmdir "$state"
    ;;
esac
