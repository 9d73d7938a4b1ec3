#!/bin/bash
# Sets up a machine of the deployment. Runs at every boot and is idempotent; the files are already in place. With `report`
# the host's outcome goes to the bucket, and a host whose set-up failed is replaced.
set -euo pipefail

STEP=start
REPORT=${1:-}
export PYTHONPATH=/usr/local/lib/redox

say() { echo "$(date -u +%FT%TZ) bring-up: $*"; }

outcome() { # success, or failed STEP
    [[ $REPORT == report && $REDOX_KIND == host ]] || return 0
    python3 -m infra.machine.outcome "$@" || say "the outcome is not in the bucket"
}

finish() {
    local code=$?
    ((code)) || return 0
    say "failed with exit code $code in step $STEP"
    outcome failed "$STEP"
}
trap finish EXIT

install_packages() {
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    apt-get -q -o DPkg::Lock::Timeout=300 update
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
}

watch() { # before anything that can fail: a machine whose set-up fails costs as much, and stops when idle as well
    systemctl daemon-reload
    systemctl enable redox-watch
    systemctl restart --no-block redox-watch # at any time: it may have changed
}

packages() {
    local wanted=(ca-certificates cron curl docker.io util-linux)
    [[ $REDOX_IMAGE != */* ]] || wanted+=(amazon-ecr-credential-helper)
    install_packages "${wanted[@]}"
}

registry() { # images of a repository are pulled with the machine's role
    [[ $REDOX_IMAGE == */* ]] || return 0
    install -d -m 700 ~root/.docker
    echo "{\"credHelpers\": {\"${REDOX_IMAGE%%/*}\": \"ecr-login\"}}" >~root/.docker/config.json
}

user() { # the container's user by name, for its files and limits.conf
    ! getent passwd @{host.ssh_user} >/dev/null || usermod --append --groups docker @{host.ssh_user} # to send images
    getent passwd @{container.user} >/dev/null || useradd --uid @{container.uid} --system --no-create-home \
        --shell /usr/sbin/nologin @{container.user}
}

data() { # on the root disk: what has to outlive the machine is in the bucket
    install -d -o @{container.uid} -g @{container.uid} @{container.data} @{container.experiments} @{container.spill}
}

key() { # in a file: the comment of a key may contain anything and must not become part of a script
    local home key=/etc/redox/ssh_public_key
    [[ -s $key ]] || return 0
    home=$(getent passwd @{host.ssh_user} | cut -d : -f 6)
    install -d -m 700 -o @{host.ssh_user} -g @{host.ssh_user} "$home/.ssh"
    grep -qxFf "$key" "$home/.ssh/authorized_keys" 2>/dev/null || cat "$key" >>"$home/.ssh/authorized_keys"
    chown @{host.ssh_user}: "$home/.ssh/authorized_keys"
    chmod 600 "$home/.ssh/authorized_keys"
}

services() {
    local units=("$@")
    systemctl daemon-reload
    systemctl restart systemd-sysctl
    systemctl enable --now cron docker
    ((${#units[@]} == 0)) || systemctl enable "${units[@]}"
    # A running training continues under the old unit; missing units start.
    ((${#units[@]} == 0)) || systemctl start --no-block "${units[@]}"
    touch /run/redox-ready # the watch starts the run that a host before this one was training, or the next job
}

agent() { # Systems Manager installs it at first boot and reads the file itself
    local control=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
    [[ ! -x $control ]] || "$control" -a fetch-config -m ec2 -c file:/etc/redox/cloudwatch.json -s
}

# shellcheck disable=SC1091 # written by the bring-up
. /etc/redox/machine.env
export REDOX_REGION REDOX_BUCKET
case $REDOX_KIND in
host) steps=(watch packages registry user data key "services @{host.units}" agent) ;;
worker) steps=(packages registry user "services redox-worker") ;;
esac
for step in "${steps[@]}"; do
    STEP=${step%% *}
    say "$STEP"
    # shellcheck disable=SC2086 # a step and its arguments
    $step
done
say "done"
outcome success
