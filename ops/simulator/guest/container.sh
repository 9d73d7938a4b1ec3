#!/bin/bash
# First process of a container: its mounts and limits, then the image's entrypoint with the arguments. The rest of the
# file system is the host's, as the image's own Python and libraries are: those of this machine.
#   IMAGE     folder of what was built
#   VENV      Python and all it needs
#   HOME_IN   where both lie in the image
#   TMP_BYTES, SHM_BYTES, NOFILE, NPROC  as docker run was told; 0 leaves what is there
#   BINDS     lines FROM:TO
set -euo pipefail

mount -t proc proc /proc
mount --bind "$IMAGE/app" "$HOME_IN/app"
mount --bind "$VENV" "$HOME_IN/venv"
mount -t tmpfs -o "mode=1777,nosuid,nodev,size=$TMP_BYTES" tmpfs /tmp
mount -t tmpfs -o "mode=1777,size=$SHM_BYTES" tmpfs /dev/shm
while IFS=: read -r from to _; do
    [[ -z $from || $from == "$to" ]] || { mkdir -p "$to" && mount --bind "$from" "$to"; }
done <<<"$BINDS"
((NOFILE == 0)) || ulimit -n "$NOFILE"
((NPROC == 0)) || ulimit -u "$NPROC"
export PATH=$IMAGE/docker:$PATH
unset IMAGE VENV HOME_IN TMP_BYTES SHM_BYTES NOFILE NPROC BINDS
cd /data
tini=$(command -v tini || true)
exec ${tini:+"$tini" --} entrypoint.sh "$@"
