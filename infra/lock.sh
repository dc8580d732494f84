#!/usr/bin/env bash
# Write infra/constraints.txt: every package of every extra at the version pip resolves today. `make lock` runs it.
set -eu -o pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"${1:-python3.11}" -m venv "$fresh/venv"
"$fresh/venv/bin/pip" install --quiet --disable-pip-version-check '.[airflow,jobs,postgres,dev,bench,kernels]'
{
    echo "# Every package of every extra, one version each: pip install -c infra/constraints.txt -e '.[airflow,jobs,postgres,dev,bench,kernels]'"
    echo "# Written by \`make lock\`."
    # A local build label such as torch's +cpu is left out: the same lock then holds on a machine with a GPU.
    "$fresh/venv/bin/pip" freeze --exclude artrec | sed -E 's/\+(cpu|cu[0-9]+)$//'
} > infra/constraints.txt
