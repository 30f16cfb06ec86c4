#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Compiles a source whose lines marked "// refused: <text>" must not compile: the compiler
# must complain about each of them and print its text. Without them it must compile.
# Usage: run.sh <compiler> <source> <flags...>
compiler=$1
source=$2
shift 2
if ! grep -v '// refused: ' "$source" | "$compiler" "$@" -fsyntax-only -x c++ -; then
    echo "the other lines of $source must compile"
    exit 1
fi
output=$("$compiler" "$@" -fsyntax-only "$source" 2>&1)
grep -n '// refused: ' "$source" | {
    failed=0
    count=0
    while IFS= read -r marked; do
        line=${marked%%:*}
        text=${marked##*// refused: }
        count=$((count + 1))
        if ! printf '%s' "$output" | grep -qF "$(basename "$source"):$line:"; then
            echo "line $line is not refused: $text"
            failed=1
        elif ! printf '%s' "$output" | grep -qF "$text"; then
            echo "line $line is refused without saying: $text"
            failed=1
        fi
    done
    [ $count != 0 ] || { echo "no cases in $source"; exit 1; }
    [ $failed = 0 ] || { printf '%s\n' "$output" | head -100; exit 1; }
    echo "$count lines are refused as they should be"
}
