#!/bin/sh
# What this machine has: compiler, libraries, tools, hardware.
# usage: scripts/info.sh CC PKG_CONFIG_NAME...
set -u
compiler=$1
shift

line() { printf '%-16s %s\n' "$1" "$2"; }

# First line of a program's answer, or that it is not there.
tool()
{
    name=$1
    shift
    if command -v "$1" >/dev/null 2>&1; then
        line "$name" "$("$@" 2>&1 | head -n 1)"
    else
        line "$name" "not found"
    fi
}

package_version()
{
    dpkg-query -W -f '${Version}' "$1" 2>/dev/null
}

header()
{
    found=$(package_version "$2")
    if [ -e "$3" ]; then line "$1" "${found:-found, version unknown}"; else line "$1" "not found"; fi
}

echo "Build"
tool compiler "$compiler" --version
tool clang clang --version
tool make make --version
for library in "$@"; do
    line "$library" "$(pkg-config --modversion "$library" 2>/dev/null || echo "not found")"
done
header iniparser libiniparser-dev /usr/include/iniparser/iniparser.h
header onednn libdnnl-dev /usr/include/oneapi/dnnl/dnnl.h
header random123 librandom123-dev /usr/include/Random123/philox.h
line cmocka "$(pkg-config --modversion cmocka 2>/dev/null || echo "not found (tests only)")"
tool mpirun mpirun --version
tool h5dump h5dump --version

echo
echo "Tools for development"
for name in clang-format cppcheck clang-tidy shellcheck valgrind groff stress-ng fio; do
    if command -v "$name" >/dev/null 2>&1; then line "$name" found; else line "$name" "not found"; fi
done

echo
echo "Machine"
line system "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release 2>/dev/null), $(uname -sr)"
line cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
line "cpus usable" "$(nproc) of $(getconf _NPROCESSORS_ONLN)"
line memory "$(awk '/^MemTotal|^MemAvailable/ { printf "%s %.1f GiB  ", $1, $2 / 1048576 }' /proc/meminfo)"
line "free disk" "$(df -Ph /var/tmp | awk 'NR == 2 { print $4 " in /var/tmp (" $1 ")" }')"
line user "$(id -un) ($(id -u))"
