#!/bin/sh
# Brings a fresh machine to where the console script runs: system packages (Debian), .venv, this
# package. Starts nothing, and does nothing twice. Run by the Makefile, from the checkout.
#
#   sh ops_platform/local/bootstrap.sh [python|run|full]
#     python  .venv only: linters and pure tests
#     run     what the embedded stack and the tests need (default)
#     full    a browser on top, for the long tests
#
# Exit 2, with one line that names the missing programs, where it cannot install them.
set -eu

purpose=${1:-run}
venv=.venv
packages=
programs=

fail() {
    echo "bootstrap: $*" >&2
    exit 2
}

# need PROGRAM PACKAGE: notes both when the program is missing.
need() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || note "$1" "$2"
}

note() {
    programs="$programs $1"
    case " $packages " in *" $2 "*) ;; *) packages="$packages $2" ;; esac
}

find_missing() {
    packages=
    programs=
    need python3 python3
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || note python3-venv python3-venv
    [ "$purpose" = python ] && return
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || note postgres postgresql
    need pgbackrest pgbackrest
    need redis-server redis-server
    need prometheus prometheus
    need promtool prometheus
    need prometheus-alertmanager prometheus-alertmanager
    need amtool prometheus-alertmanager
    need setpriv util-linux
    [ "$purpose" = full ] || return 0
    need chromium chromium
    # The login provider of the guard's tests is a package of npm.
    need node nodejs
    need npm npm
}

install_packages() {
    os=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}") || os=
    case " $os " in
    *" debian "*) command -v apt-get >/dev/null 2>&1 || os= ;;
    *) os= ;;
    esac
    [ -n "$os" ] || fail "missing programs:$programs; install them (on Debian they are in:$packages)"
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            fail "missing programs:$programs; as root run: apt-get install --no-install-recommends$packages"
        sudo=sudo
    fi
    echo "bootstrap: installing$packages"
    log=$(mktemp)
    apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    # The lists of a fresh machine are empty or old: try without them only when they are young.
    if ! $apt update >"$log" 2>&1 ||
        ! $apt install -y --no-install-recommends $packages >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install$packages: correct what it says above, then repeat"
    fi
    rm -f "$log"
    wanted=$programs
    find_missing
    [ -z "$programs" ] || fail "still missing after installing the packages for$wanted:$programs"
}

# What the environment depends on, in one line: when it is the same, nothing is to be done.
fingerprint() {
    {
        cat requirements.lock setup.py pyproject.toml
        python3 -c 'import sys; print(sys.version)'
        pwd -P
    } | sha256sum | cut -d ' ' -f 1
}

make_environment() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "python3 is $(python3 -V 2>&1): Python 3.11 or newer is needed"
    current=$(fingerprint)
    [ "$(cat $venv/.complete 2>/dev/null)" = "$current" ] && return
    rm -f $venv/.complete
    # A half-made or moved environment, or one of another Python, is of no use.
    $venv/bin/python -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null &&
        [ "$($venv/bin/python -c 'import sys; print(sys.version)')" = "$(python3 -c 'import sys; print(sys.version)')" ] ||
        python3 -m venv --clear $venv
    echo "bootstrap: installing the Python packages of requirements.lock"
    pip="$venv/bin/python -m pip --quiet --disable-pip-version-check --no-input"
    # Without byte code: it is made when a module is first imported, for those that ever are.
    $pip install --no-compile --no-deps --require-hashes --requirement requirements.lock ||
        fail "pip could not install requirements.lock: correct what it says above, then repeat"
    $pip install --no-deps --no-build-isolation --editable . ||
        fail "pip could not install this package: correct what it says above, then repeat"
    echo "$current" >$venv/.complete
}

[ -f requirements.lock ] && [ -f pyproject.toml ] || fail "run it in the top folder of the checkout"
case $purpose in python | run | full) ;; *) fail "unknown purpose $purpose: use python, run or full" ;; esac
find_missing
[ -z "$packages" ] || install_packages
make_environment
