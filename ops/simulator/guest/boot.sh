#!/bin/bash
# Boots a simulated host: the first process of its namespaces. It sees this machine's file system copied on write, so
# paths are the real ones and nothing that is written reaches this machine except through the disk of the host.
#   FOLDER    folder of the host: host key, authorized keys, user data, root disk
#   PROGRAMS  the stand-ins
#   CLONE     the clone of this repository
#   SHARED    folders that must be visible wherever they are mounted, one on each line
#   LOGIN     user to log in as
#   PORT      port of sshd
#   PYTHON    the Python interpreter
set -euo pipefail

work=$FOLDER/work
root=$work/root
mount -t tmpfs -o size=64g tmpfs "$work" # the size of a root disk; only what is written takes memory
mkdir "$work"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"

mkdir -p "$root"/{proc,sys,dev,run,tmp,data,home}
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
for each in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$each"; done
chmod 1777 "$root/tmp"
mkdir -p "$root"/dev/{pts,shm} "$root"/run/sshd
for each in null zero full random urandom tty; do
    touch "$root/dev/$each"
    mount --bind "/dev/$each" "$root/dev/$each"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for each in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${each%:*}" "$root/dev/${each#*:}"; done

while IFS= read -r each; do
    mkdir -p "$root$each"
    mount --rbind "$each" "$root$each"
done <<<"$SHARED"
# The persistent part of the root disk, which an image of the host contains.
for each in data etc/redox etc/systemd/system usr/local/lib/redox var/lib/docker var/log; do
    mkdir -p "$FOLDER/disk/$each" "$root/$each"
    mount --bind "$FOLDER/disk/$each" "$root/$each"
done

# The login user is another name for root: sudo needs no privileges, and Python can be read wherever it is installed.
sed -i "/^$LOGIN:/d" "$root/etc/passwd" "$root/etc/group"
echo "$LOGIN:x:0:0::/home/$LOGIN:/bin/bash" >>"$root/etc/passwd"
echo "$LOGIN:x:0:" >>"$root/etc/group"
grep -q ^docker: "$root/etc/group" || echo "docker:x:999:" >>"$root/etc/group" # as Docker's package does
mkdir -p "$root/home/$LOGIN"

# First on every PATH, and where units expect them.
mkdir -p "$root/usr/local/sbin"
for each in "$PROGRAMS"/*; do
    [[ ! -f $each || $each == *.* ]] || ln -sf "$each" "$root/usr/local/sbin/${each##*/}"
done
for each in usr/local/sbin usr/bin; do ln -sf "$PROGRAMS/containers.py" "$root/$each/docker"; done
[[ -x $root/usr/bin/python3 ]] || ln -sf "$PYTHON" "$root/usr/bin/python3"

cat >"$root/etc/ssh/redox_sshd_config" <<END
ListenAddress 127.0.0.1
Port $PORT
HostKey $FOLDER/host_key
PidFile none
AuthorizedKeysFile .ssh/authorized_keys $FOLDER/authorized_keys/%u
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PrintMotd no
PrintLastLog no
AcceptEnv LANG
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
END

exec chroot "$root" env --chdir="$CLONE" "$PYTHON" -s -m ops.simulator.guest.init
