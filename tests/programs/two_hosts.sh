#!/usr/bin/env bash
# Run a script on two hosts: two network namespaces joined by a veth pair, each with a launcher of its own, the flags of
# configs/accelerate/multi_node.yaml, one CPU process each. Wants root.
# tests/programs/two_hosts.sh run_ner.py --config ... --output_dir ...
set -euo pipefail
cd "$(dirname "$0")/../.."
host0=recipe0-$$ host1=recipe1-$$

clean() {
    ip netns delete "$host0" 2>/dev/null || true
    ip netns delete "$host1" 2>/dev/null || true
}
trap clean EXIT

ip netns add "$host0"
ip netns add "$host1"
ip link add veth0 netns "$host0" type veth peer name veth0 netns "$host1"
ip -n "$host0" address add 192.0.2.1/24 dev veth0
ip -n "$host1" address add 192.0.2.2/24 dev veth0
for host in "$host0" "$host1"; do
    ip -n "$host" link set lo up
    ip -n "$host" link set veth0 up
done

launch() {  # rank, script and its flags
    ip netns exec "recipe$1-$$" env ACCELERATE_USE_CPU=true .venv/bin/accelerate launch \
        --config_file configs/accelerate/multi_node.yaml --num_processes 2 --machine_rank "$1" "${@:2}"
}
launch 1 "$@" &
second=$!
launch 0 "$@"
wait "$second"
