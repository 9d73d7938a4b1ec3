#!/bin/bash
# Sets up a machine of the deployment. Runs at every boot and is idempotent; the files are already in place. Ends with a
# signal to CloudFormation: success, or the last lines of the log.
set -euo pipefail

STEP=start
VOLUME_WAIT_S=600 # CloudFormation attaches the volume after the machine has started

say() { echo "$(date -u +%FT%TZ) bring-up: $*"; }

signal() { # STATUS REASON; the address is valid for the first boot only
    [[ -n $REDOX_SIGNAL_URL ]] || return 0
    local body
    body=$(python3 -c 'import json, sys
print(json.dumps({"Status": sys.argv[1], "Reason": sys.argv[2], "UniqueId": "bring-up", "Data": ""}))' "$1" "$2")
    curl --silent --show-error --fail --retry 5 --max-time 30 --request PUT --header "Content-Type:" --data "$body" \
        "$REDOX_SIGNAL_URL" || say "CloudFormation does not wait for the signal"
}

finish() {
    local code=$?
    ((code)) || return 0
    say "failed with exit code $code in step $STEP"
    signal FAILURE "step $STEP: $(tail -n 5 @{names.log})"
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
    local wanted=(ca-certificates cron curl docker.io python3-boto3 util-linux)
    [[ $REDOX_IMAGE != */* ]] || wanted+=(amazon-ecr-credential-helper)
    install_packages "${wanted[@]}"
}

registry() { # images of a repository are pulled with the machine's role
    [[ $REDOX_IMAGE == */* ]] || return 0
    install -d -m 700 /root/.docker
    echo "{\"credHelpers\": {\"${REDOX_IMAGE%%/*}\": \"ecr-login\"}}" >/root/.docker/config.json
}

user() { # the container's user by name, for its files and limits.conf
    ! getent passwd @{host.ssh_user} >/dev/null || usermod --append --groups docker @{host.ssh_user} # to send images
    getent passwd @{container.user} >/dev/null || useradd --uid @{container.uid} --system --no-create-home \
        --shell /usr/sbin/nologin @{container.user}
}

volume() {
    local serial=${REDOX_VOLUME/-/} device
    device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$serial
    timeout "$VOLUME_WAIT_S" bash -c "until [[ -e $device ]]; do sleep 1; done" || { say "no $device"; return 1; }
    # A file system is created on an empty volume only: blkid exits with 2 when it finds nothing.
    local found=0
    blkid --probe "$device" >/dev/null || found=$?
    ((found == 0 || found == 2)) || { say "$device cannot be read: blkid exits with $found"; return 1; }
    ((found == 0)) || mkfs.ext4 -q -m 0 -L redox "$device"
    grep -q "^$device " /etc/fstab || echo "$device @{container.data} ext4 defaults,nofail,x-systemd.device-timeout=600 0 2" >>/etc/fstab
    install -d @{container.data}
    mountpoint -q @{container.data} || mount @{container.data}
    resize2fs "$device" 2>&1 # the volume may have grown
    chown @{container.uid}:@{container.uid} @{container.data}
    install -d -o @{container.uid} -g @{container.uid} @{container.experiments} @{container.spill}
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
    systemctl enable "${units[@]}"
    # A running training continues under the old unit; missing units start.
    systemctl start --no-block "${units[@]}"
}

agent() { # Systems Manager installs it at first boot and reads the file itself
    local control=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
    [[ ! -x $control ]] || "$control" -a fetch-config -m ec2 -c file:/etc/redox/cloudwatch.json -s
}

mv /etc/redox/machine.env.new /etc/redox/machine.env
# shellcheck disable=SC1091 # written by the bring-up
. /etc/redox/machine.env
case $REDOX_KIND in
host) steps=(watch packages registry user volume key "services redox-trainer @{host.units}" agent) ;;
worker) steps=(packages registry user "services redox-worker") ;;
esac
for step in "${steps[@]}"; do
    STEP=${step%% *}
    say "$STEP"
    # shellcheck disable=SC2086 # a step and its arguments
    $step
done
say "done"
signal SUCCESS "the machine is set up"
