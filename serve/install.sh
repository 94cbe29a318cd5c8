#!/bin/sh
# serve/install.sh CHECKOUT TARGET EXTRAS   build the wheel of a checkout and install it with its extras into a virtual
# environment. What the Dockerfiles do to make an image, and .ci/run in a bare environment.
set -eu
checkout="$1" target="$2" extras="$3"
python="${PYTHON:-python3}"
temp="$(mktemp -d)"
trap 'rm -rf "$temp"' EXIT

"$python" -m venv "$temp/build"
"$temp/build/bin/pip" install --quiet --disable-pip-version-check -c "$checkout/constraints.txt" build
"$temp/build/bin/python" -m build --wheel --outdir "$temp" "$checkout" > /dev/null
"$python" -m venv "$target"
"$target/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir -c "$checkout/constraints.txt" \
  "$(ls "$temp"/*.whl)[$extras]"
