#!/usr/bin/env bash
# Healthy while the trainer writes its heartbeat and learns; a container without a training is healthy.
set -euo pipefail

HEARTBEAT_S=60 # the trainer writes it every 5 s
UPDATE_S=900   # without an update of the policy; an actor that hangs is replaced after 300 s

unhealthy() {
    echo "$*"
    exit 1
}

[[ -e /tmp/redox-run ]] || { echo "no training here" && exit 0; }
heartbeat=$(</tmp/redox-run)/heartbeat.json
[[ -r $heartbeat ]] || unhealthy "no heartbeat yet"
now=$(date +%s)
age=$((now - $(stat --format %Y "$heartbeat")))
((age <= HEARTBEAT_S)) || unhealthy "the last heartbeat is $age s old"
updated=$(sed -n 's/^ *"updated_at": \([0-9]*\).*/\1/p' "$heartbeat")
[[ -z $updated ]] || ((now - updated <= UPDATE_S)) || unhealthy "the last update of the policy is $((now - updated)) s old"
sed -n 's/^ *"\(status\|step\)": "\?\([^",]*\).*/\1 \2/p' "$heartbeat"
! grep -q '"status": "failed"' "$heartbeat"
