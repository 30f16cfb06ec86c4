#!/bin/sh
# With options that the libraries cannot be used with, the compiler says so in one error, and stops.
# Usage: platform.sh <compiler> <flags...>
compiler=$1
shift
failed=0

# refused <flags...>: with $options, too, the compiler must print $text.
refused() {
    # shellcheck disable=SC2086 # several options
    output=$(echo '#include <futures/futures.hpp>' |
        "$compiler" "$@" $options -fsyntax-only -x c++ - 2>&1) && {
        echo "$options: compiles"
        failed=1
    }
    case $output in
        *"$text"*) ;;
        *) echo "$options: does not say \"$text\":"; echo "$output" | head -20; failed=1 ;;
    esac
    errors=$(printf '%s\n' "$output" | grep -c 'error:')
    if [ "$errors" -gt 2 ] || [ "$(printf '%s\n' "$output" | wc -l)" -gt 20 ]; then
        echo "$options: says too much"
        echo "$output" | head -40
        failed=1
    fi
}

options=-std=c++17 text='needs C++20' && refused "$@"
options='-std=c++20 -fno-exceptions' text='without -fno-exceptions' && refused "$@"
options='-std=c++20 -fno-rtti' text='without -fno-rtti' && refused "$@"
[ $failed = 0 ] && echo "3 sets of options are refused as they should be"
exit $failed
