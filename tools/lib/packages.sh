# install_packages <build|test|mpi|mpich|check|docs|fuzz|bench|package|cross>...: what Debian packages each
# job needs. Nothing is asked of the network when all of them are there. Source it after common.sh.
# shellcheck shell=bash

# boost_packages <headers|library>...: Debian 12 names the Boost that we need by its version; later
# releases have it as the default.
boost_packages() {
    local prefix=libboost1.81 middle=1.81
    if ! dpkg -s libboost1.81-dev >/dev/null 2>&1 &&
        { dpkg -s libboost-serialization-dev >/dev/null 2>&1 ||
            ! apt-cache show libboost1.81-dev >/dev/null 2>&1; }; then
        local newer
        newer=$(apt-cache show libboost-dev 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
        if [ -n "$newer" ] && dpkg --compare-versions "$newer" ge 1.81; then
            prefix=libboost middle=
        fi
    fi
    local part
    for part in "$@"; do
        [ "$part" = headers ] && echo "$prefix-dev" || echo "libboost-$part$middle-dev"
    done
}

packages_for() {
    case $1 in
        build) echo "g++ cmake ninja-build ccache $(boost_packages headers serialization)" \
            "libspdlog-dev libssl-dev libcli11-dev" ;;
        test) echo "catch2 libgtest-dev python3 python3-anyio lld $(boost_packages filesystem)" \
            "$(packages_for mpi)" ;;
        mpi) echo "libopenmpi-dev openmpi-bin python3-mpi4py" ;;
        mpich) echo "libmpich-dev mpich" ;;
        check) echo "clang clang-format clang-tidy $(packages_for docs)" ;;
        docs) echo "git python3 doxygen" ;;
        fuzz) echo "clang libclang-rt-dev" ;;
        package) echo "dpkg-dev fakeroot pkgconf file binutils" ;;
        cross) echo "g++-aarch64-linux-gnu" ;;
        bench) echo "python3 libtbb-dev nlohmann-json3-dev" ;;
        *) fail "no such list of packages: $1" ;;
    esac
}

# What a build for arm64 needs of that architecture besides the compiler's own.
arm64_packages() {
    boost_packages headers serialization
    printf '%s\n' libspdlog-dev libfmt-dev libssl-dev
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

missing_packages() {
    local job package
    for job in "$@"; do
        for package in $(packages_for "$job"); do
            dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' ||
                echo "$package"
        done
    done
}

install_packages() {
    if ! command -v apt-get >/dev/null; then
        say "this is no Debian: make sure that there is $(for job in "$@"; do packages_for "$job"; done | tr '\n' ' ')"
        return
    fi
    [ -n "$(missing_packages "$@")" ] || return 0
    # On a bare machine the lists are empty: which Boost there is shows only after this.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    local missing
    mapfile -t missing < <(missing_packages "$@")
    say "installing: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"
}
