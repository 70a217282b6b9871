#!/usr/bin/env bash
# The library's tests on an emulated ARM CPU of 64 bits: bash tools/emulated_arm.sh [folder]
#
# As root on Debian or Ubuntu. Makes a small Debian for aarch64 in the folder (/var/tmp/arm unless
# told), which takes some minutes and a gigabyte, and is used again by later calls. What runs there
# is right or wrong as on a real CPU; how long it takes says nothing.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-/var/tmp/arm}
packages="torch==2.9.1 numpy numba safetensors pytest hypothesis setuptools>=77"

if ! command -v debootstrap qemu-aarch64-static >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq debootstrap qemu-user-static
fi

# Programs for aarch64 are handed to qemu by the kernel, which may have to be told so.
formats=/proc/sys/fs/binfmt_misc
[ -e "$formats/register" ] || mount -t binfmt_misc none "$formats"
if [ ! -e "$formats/qemu-aarch64" ]; then
    magic='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >"$formats/register"
fi

if [ ! -e "$root/ready" ]; then
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-pip,ca-certificates \
        bookworm "$root" http://deb.debian.org/debian
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    cp -r /etc/ssl/certs/. "$root/etc/ssl/certs/"
    chroot "$root" /usr/bin/env PIP_NO_CACHE_DIR=1 python3 -m pip install --quiet \
        --break-system-packages $packages
    touch "$root/ready"
fi

# A copy, so that nothing there can write here.
rm -rf "$root/library"
cp -r "$repository/int8_rnn" "$root/library"
mountpoint -q "$root/proc" || mount --bind /proc "$root/proc"
mountpoint -q "$root/dev" || mount --bind /dev "$root/dev"
trap 'umount "$root/proc" "$root/dev"' EXIT
# Products of bytes with unsigned ones (usdot), of bytes alone (sdot), and a CPU without either; the
# kernels alone depend on that. LLVM would read the features of the CPU from /proc/cpuinfo, which
# under emulation is the host's. What the emulator itself takes counts as the process's memory.
tests=tests
for cpu in "neoverse-n1 +i8mm" "neoverse-n1" "cortex-a72"; do
    read -r name features <<<"$cpu"
    echo "== $cpu"
    chroot "$root" /usr/bin/env -C /library HOME=/root PYTHONPATH=/library/src \
        NUMBA_CPU_NAME="$name" NUMBA_CPU_FEATURES="${features:-}" \
        python3 -m pytest -q -p no:cacheprovider -m "not fbgemm" \
        --deselect tests/test_modules.py::test_resident_memory_falls_to_about_a_quarter "$tests"
    tests=tests/test_fast.py
done
