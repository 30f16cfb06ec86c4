# What the scripts in tools/ share. Source it; it goes to the project's root.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# Two jobs at least: compilers wait for the disk, too.
jobs=$(nproc 2>/dev/null || echo 2)
[ "$jobs" -ge 2 ] || jobs=2

# ctest with the arguments given. In a log, most lines of what passed are left out: what failed is
# to be found there.
run_ctest() {
    if [ -t 1 ]; then
        ctest "$@"
    else
        ctest "$@" | awk '/^ +Start +[0-9]+: / { next }
            / Passed +[0-9.]+ sec *$/ && ++passed % 20 { next }
            { print; fflush() }'
    fi
}
