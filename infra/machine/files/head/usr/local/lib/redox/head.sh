#!/bin/bash
# In the host's container: starts the head of the Ray cluster, then the trainer with the given options.
set -euo pipefail
address=$(hostname --all-ip-addresses | cut -d ' ' -f 1)
# shellcheck disable=SC2086 # several options
ray start --head --node-ip-address "$address" --port @{ports.ray} --dashboard-port @{ports.dashboard} $REDOX_RAY
exec /entrypoint.sh train --ray-address "$address:@{ports.ray}" "$@"
