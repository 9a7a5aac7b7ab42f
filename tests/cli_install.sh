#!/bin/bash
# make install into a temporary DESTDIR, a client built against it with pkg-config, make uninstall;
# and the scripts behind make deps and make info.
# shellcheck source=tests/support/cli.sh
. tests/support/cli.sh
build=$(dirname "$BIN")
stage=$scratch/stage
prefix=/opt/mimesys
tree=$stage$prefix

# In a make of its own, but with the variables of the one that runs this test (compiler, flags).
in_make() { make --no-print-directory BUILD="$build" DESTDIR="$stage" PREFIX="$prefix" "$@"; }

in_make install >"$scratch/out" 2>"$scratch/err"
report $? "make install into DESTDIR"

missing=
for path in "$BIN"/mimesys_*; do
    name=$(basename "$path")
    [ -x "$tree/bin/$name" ] && "$tree/bin/$name" --version >/dev/null &&
        cmp -s "$tree/share/man/man1/$name.1" <("$path" --man) &&
        cmp -s "$tree/share/bash-completion/completions/$name" <("$path" --completion) ||
        missing="$missing $name"
done
[ -z "$missing" ]
report $? "every program has its man page and completion beside it$missing"

bad=
for unit in systemd/*.service; do
    installed=$tree/lib/systemd/system/$(basename "$unit")
    command=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$installed")
    [ -x "$stage$command" ] || bad="$bad $unit"
done
[ -z "$bad" ]
report $? "systemd units start the installed programs$bad"

# ---- a client of the installed tree
export PKG_CONFIG_PATH=$tree/lib/pkgconfig
flags() { pkg-config --define-variable=prefix="$tree" "$@" mimesys; }
sanitize=
if nm "$tree/lib/libmimesys.a" 2>/dev/null | grep -q __asan_init; then
    sanitize=-fsanitize=address,undefined
fi

# shellcheck disable=SC2046,SC2086 # flags are words
client()
{
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror $sanitize $(flags --cflags) "$@"
}

cat >"$scratch/client.c" <<'C'
#include <core/rng.h>
#include <stdio.h>
#include "core/error.h"
#include "trace/stats.h"

int main(void)
{
    const uint32_t zero[4] = {0};
    uint32_t out[4];
    mim_rng_philox4x32(zero, zero, out);
    printf("%08x %d\n", (unsigned)out[0], mim_exit_status(MIM_EDATA));
    return 0;
}
C
# shellcheck disable=SC2046
client "$scratch/client.c" -o "$scratch/client" $(flags --libs) >"$scratch/out" 2>"$scratch/err" &&
    [ "$("$scratch/client")" = "6627e8d5 5" ]
report $? "a client builds with pkg-config and runs"

# shellcheck disable=SC2046
client "$scratch/client.c" -o "$scratch/client" -Wl,--whole-archive "$tree/lib/libmimesys.a" \
    -Wl,--no-whole-archive $(flags --libs) >"$scratch/out" 2>"$scratch/err"
report $? "pkg-config names every library that libmimesys.a needs"

# But for those that other headers include once a precision.
bad=
while read -r header; do
    printf '#include "%s"\nextern int not_empty;\n' "$header" >"$scratch/alone.c"
    client -fsyntax-only "$scratch/alone.c" >>"$scratch/out" 2>>"$scratch/err" || bad="$bad $header"
done < <(cd "$tree/include/mimesys" &&
    find . -name '*.h' ! -name '*_declare.h' ! -name 'as_*.h' | sed 's|^\./||')
[ -z "$bad" ] && [ -e "$tree/include/mimesys/core/error.h" ]
report $? "every installed header compiles alone$bad"

[ "$(pkg-config --modversion mimesys)" = "$("$BIN/mimesys_run" --version | cut -d ' ' -f 2)" ]
report $? "pkg-config tells the version the programs tell"

in_make uninstall >"$scratch/out" 2>"$scratch/err"
left=$(find "$stage" ! -type d)
[ -z "$left" ]
report $? "make uninstall leaves no file $left"

# ---- packages
as_user() { # COMMAND...: without root rights
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}
cp scripts/deps.sh "$scratch/deps.sh" # the checkout may be closed to other users
chmod 755 "$scratch/deps.sh"
if command -v apt-get >/dev/null; then
    MIMESYS_DEPS="dpkg mimesys-is-no-package" as_user "$scratch/deps.sh" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 4 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && [ "$(cat "$scratch/out")" = \
        "apt-get install -y --no-install-recommends mimesys-is-no-package" ]
    report $? "without root rights deps.sh prints the apt-get line and exits 4 (exit $rc)"

    MIMESYS_DEPS="dpkg" as_user "$scratch/deps.sh" >"$scratch/out" 2>&1 && [ ! -s "$scratch/out" ]
    report $? "deps.sh is silent when all is installed"
else
    skip "deps.sh" "this is not Debian"
fi
scripts/deps.sh nonsense >"$scratch/out" 2>"$scratch/err"
[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ]
report $? "deps.sh refuses an unknown list"

scripts/info.sh no-such-compiler no-such-library >"$scratch/out" 2>"$scratch/err" &&
    grep -q '^compiler  *not found$' "$scratch/out" &&
    grep -q '^no-such-library  *not found$' "$scratch/out" && [ ! -s "$scratch/err" ]
report $? "info says what is not found"

finish
