#!/bin/sh
# Prints the folder of `@kusto/language-service-next`, Microsoft's own KQL parser and binder, which our differential test
# asks for a second opinion. The first call installs it into a cache folder with npm. Test-time only.
#
#   WEIR_TOOLS   the cache folder (default ~/.cache/weir-tools)
set -eu

version=12.4.1
tools=${WEIR_TOOLS:-$HOME/.cache/weir-tools}
root=$tools/kusto-language-$version
package=$root/node_modules/@kusto/language-service-next

if [ ! -d "$package" ]; then
    if ! command -v npm >/dev/null; then
        echo "kusto_language.sh: npm is missing; install Node 20 or later (Debian: apt-get install nodejs npm)" >&2
        exit 1
    fi
    mkdir -p "$root"
    echo "installing @kusto/language-service-next $version into $root (once)" >&2
    npm install --prefix "$root" --no-audit --no-fund --no-save --omit=dev "@kusto/language-service-next@$version" >&2
fi
echo "$package"
