#!/bin/sh
# Installs the Debian packages this project needs. Without root rights it prints the line that does.
# usage: scripts/deps.sh [build|testbed|bench]
# MIMESYS_DEPS="PACKAGE ..." replaces the list.
# Exit status: 0 all are installed, 1 apt-get failed, 2 usage, 4 cannot be done here.
set -u

# a Slurm cluster on this machine; util-linux: nsenter, unshare, flock
testbed="slurm-wlm munge openmpi-bin libpmix-dev iproute2 util-linux"
case ${1:-build} in
build)
    # util-linux: setpriv, mount; procps: ps; clang and its run-time library: fuzz targets
    packages="make gcc libc6-dev pkg-config
        libopenmpi-dev openmpi-bin libhdf5-openmpi-dev hdf5-tools libiniparser-dev libjansson-dev
        librandom123-dev libdnnl-dev liblapacke-dev libhwloc-dev libcairo2-dev libzstd-dev libzip-dev libxxhash-dev fonts-dejavu-core libcmocka-dev
        procps util-linux groff-base clang libclang-rt-dev $testbed"
    ;;
testbed)
    packages=$testbed
    ;;
bench)
    # PyTorch multiplies with what provides libblas.so.3: the reference one is no peer
    packages="stress-ng fio python3-torch python3-numpy libopenblas0-pthread"
    ;;
*)
    echo "deps.sh: $1: expected build, testbed or bench" >&2
    exit 2
    ;;
esac

missing=
for package in ${MIMESYS_DEPS:-$packages}; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
    echo "deps.sh: expected Debian's apt-get; install by other means what these packages hold:$missing" >&2
    exit 4
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "deps.sh: packages are missing and need root rights to install:" >&2
    echo "$install"
    exit 4
fi

export DEBIAN_FRONTEND=noninteractive
# Lists may be missing (a fresh machine) or too old to fetch from: then once more after an update.
# shellcheck disable=SC2086 # a list of words
if ! apt-cache show $missing >/dev/null 2>&1 || ! $install; then
    if ! apt-get update || ! $install; then
        echo "deps.sh: apt-get failed; the line was: $install" >&2
        exit 1
    fi
fi
