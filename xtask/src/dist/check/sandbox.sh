# sandbox ROOT PACKAGE INPUT OUTPUT ARGUMENT…: runs unnunet where nothing but OUTPUT can be written.
# Runs in namespaces of its own, so that what is mounted here is seen nowhere else and goes with the last process.
set -eu
root=$1 package=$2 input=$3 output=$4
shift 4
mount --bind "$root" "$root"
# A container that hides parts of /proc allows no new one.
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
mount -t tmpfs tmpfs "$root/mnt"
mkdir "$root/mnt/package" "$root/mnt/input" "$root/mnt/output"
mount --bind "$package" "$root/mnt/package"
mount --bind "$input" "$root/mnt/input"
mount --bind "$output" "$root/mnt/output"
for place in /mnt/package /mnt/input /mnt ""; do
    mount -o remount,bind,ro "$root$place"
done
cd "$root"
exec chroot . /mnt/package/bin/unnunet "$@"
