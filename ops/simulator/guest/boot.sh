#!/bin/bash
# Becomes a host: runs as the first process of namespaces of its own. This machine's file system is seen copied on
# write, so paths are the true ones and nothing that is written reaches it but what lies on the two disks of the host.
#   FOLDER    of the host: host key, keys that are let in, user data, root disk
#   DATA      folder that is the data volume
#   DEVICE    name of the data volume in /dev/disk/by-id
#   PROGRAMS  the stand-ins
#   SEEN      folders that have to be seen there, wherever they are mounted
#   LOGIN     who logs in
#   PORT      of sshd
#   PYTHON    the interpreter of all this
set -euo pipefail

work=$FOLDER/work
root=$work/root
mount -t tmpfs -o size=64g tmpfs "$work" # the size of a root disk; what is not written takes nothing
mkdir "$work"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"

mkdir -p "$root"/{proc,sys,dev,run,tmp,data,home}
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
for each in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$each"; done
chmod 1777 "$root/tmp"
mkdir -p "$root"/dev/{pts,shm,disk/by-id} "$root"/run/sshd
for each in null zero full random urandom tty; do
    touch "$root/dev/$each"
    mount --bind "/dev/$each" "$root/dev/$each"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for each in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${each%:*}" "$root/dev/${each#*:}"; done

for each in $SEEN; do
    mkdir -p "$root$each"
    mount --rbind "$each" "$root$each"
done
# What stays of the root disk when the host stops, and goes into an image of it.
for each in etc/redox etc/systemd/system usr/local/lib/redox var/lib/docker var/log; do
    mkdir -p "$FOLDER/disk/$each" "$root/$each"
    mount --bind "$FOLDER/disk/$each" "$root/$each"
done
mount --bind "$DATA" "$root/data"
# The device is there for blkid, mkfs and resize2fs; a folder needs no rights to be mounted.
ln -s "$DATA.device" "$root/dev/disk/by-id/$DEVICE"

# Whoever logs in is root here by another name: sudo needs no rights of its own, and Python is found wherever it is.
sed -i "/^$LOGIN:/d" "$root/etc/passwd" "$root/etc/group"
echo "$LOGIN:x:0:0::/home/$LOGIN:/bin/bash" >>"$root/etc/passwd"
echo "$LOGIN:x:0:" >>"$root/etc/group"
grep -q ^docker: "$root/etc/group" || echo "docker:x:999:" >>"$root/etc/group" # as Docker's package does
mkdir -p "$root/home/$LOGIN"

# First on every PATH, and where units look for them.
mkdir -p "$root/usr/local/sbin"
for each in "$PROGRAMS"/*; do
    [[ ! -f $each || $each == *.* ]] || ln -sf "$each" "$root/usr/local/sbin/${each##*/}"
done
ln -sf "$PROGRAMS/docker" "$root/usr/bin/docker"
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

exec chroot "$root" "$PYTHON" -I "$PROGRAMS/init.py"
