#!/bin/bash
# First process of a simulated container: mounts and limits, then the image's entrypoint with the arguments. The rest of
# the file system is the host's; Python and its libraries, which an image holds, are those of this machine.
#   IMAGE     folder of the build context
#   VENV      environment of Python with all libraries
#   HOME_IN   folder of both within the image
#   TMP_BYTES, SHM_BYTES, NOFILE, NPROC  limits of docker run; 0 leaves them unchanged
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
