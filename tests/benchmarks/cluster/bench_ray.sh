#!/usr/bin/env bash
# `hpsearch run --engine ray` on a Ray cluster of three nodes of this machine (see nodes.sh), one of
# which is killed. The study must end with 30 finished trials. About two minutes.
# Needs root and apt-get install postgresql.
source "$(dirname "$0")/common.sh"
export RAY_USAGE_STATS_ENABLED=0
trap down EXIT
up
begin a_node_dies
on() { "$nodes" run "$1" env -C "$HOME" HPSEARCH_HOME="$place/$1" RAY_worker_niceness=0 "${@:2}"; }
ray_on() {
    local address=10.77.0.1${1#node}
    mkdir -p "$place/$1"
    on "$1" ray start "${@:2}" --node-ip-address="$address" --num-cpus=1 \
        --temp-dir="/tmp/ray-$1" >/dev/null 2>&1
}
ray_on node1 --head --port=6379
ray_on node2 --address=10.77.0.11:6379
ray_on node3 --address=10.77.0.11:6379
say "three nodes"
on node1 hpsearch run flats.toml --preset cpu --engine ray --total 30 >log 2>&1 &
run=$!
wait_for_trials 6
"$nodes" kill node3
say "the power of node3 goes"
wait "$run" || cat log
tell
ask "select host, count(*) from hps_trial group by host order by host"
rm -rf /tmp/ray-node[123]
