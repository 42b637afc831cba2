#!/bin/sh
# Resolve pyproject.toml into lock files with a hash for every file (needs uv).
# Pass --upgrade to take newer versions, or --upgrade-package NAME for one of them.
set -eu
cd "$(dirname "$0")/.."

lock() {
    output=$1
    shift
    uv pip compile "$@" \
        --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --override requirements/overrides.txt \
        --output-file "requirements/$output" --quiet
}

upgrade=${*:-}
# shellcheck disable=SC2086 # the arguments are words
lock demo.txt pyproject.toml --extra onnx --extra demo $upgrade
# shellcheck disable=SC2086
lock dev.txt pyproject.toml --all-extras $upgrade
# what is in the image: no more than what was tested, at the same versions
# shellcheck disable=SC2086
lock image.txt pyproject.toml --extra onnx --extra bucket --constraint requirements/dev.txt $upgrade
# shellcheck disable=SC2086
lock full.txt pyproject.toml --extra onnx --extra bucket --extra torch \
    --constraint requirements/dev.txt $upgrade
# what builds the project itself: build-system.requires, at the version that dev.txt has
# shellcheck disable=SC2086
echo "setuptools>=77" | lock build.txt - --constraint requirements/dev.txt $upgrade
