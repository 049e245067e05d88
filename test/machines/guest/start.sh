# The first process of a machine: makes what an installed system has mounted, runs the tests, and switches the machine off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
chmod 1777 /tmp
hostname machine
ip link set lo up
for module in fuse overlay loop; do modprobe "$module"; done
chmod 666 /dev/fuse
# What is slow here is tried in short.
export FUSE_OVERLAYFS_TEST_SHORT=1
cd /project
node_modules/.bin/bun test/machines/guest/main.ts </dev/null
sync
busybox reboot -f
