#!/usr/bin/env bash
# Healthy while the trainer writes its heartbeat and updates the policy; a container without a training is healthy.
# $REDOX_HEARTBEAT_S and $REDOX_UPDATE_S, the ages tolerated, come from the image.
set -euo pipefail

unhealthy() {
    echo "$*"
    exit 1
}

[[ -e /tmp/redox-run ]] || { echo "no training in this container" && exit 0; }
heartbeat=$(</tmp/redox-run)/heartbeat.json
[[ -r $heartbeat ]] || unhealthy "no heartbeat yet"
now=$(date +%s)
age=$((now - $(stat --format %Y "$heartbeat")))
((age <= REDOX_HEARTBEAT_S)) || unhealthy "the last heartbeat is $age s old"
updated=$(sed -n 's/^ *"updated_at": \([0-9]*\).*/\1/p' "$heartbeat")
[[ -z $updated ]] || ((now - updated <= REDOX_UPDATE_S)) || unhealthy "the last update of the policy is $((now - updated)) s old"
sed -n 's/^ *"\(status\|step\)": "\?\([^",]*\).*/\1 \2/p' "$heartbeat"
! grep -q '"status": "failed"' "$heartbeat"
