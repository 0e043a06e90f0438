#!/bin/sh
# From a connected laptop to an isolated server, step by step, with real programs and small files.
#
#   tests/walkthrough.sh [DIR]
#
# CASEMATE and CASEMATE_STAGE name the two programs [default: those of target/release, else target/debug].
# DIR is where everything goes [default: a temporary directory, removed at the end]: laptop/, usb/ and server/.
# Ends with status 0 if every step did what it should, and says which did not.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

program() {
    for profile in release debug; do
        if [ -x "$target/$profile/$1" ]; then
            echo "$target/$profile/$1"
            return
        fi
    done
    echo "$1 is not built: cargo build --release -p $1" >&2
    exit 2
}

stage=${CASEMATE_STAGE:-$(program casemate-stage)}
casemate=${CASEMATE:-$(program casemate)}
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    work=$(cd "$1" && pwd)
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/laptop" "$work/usb" "$work/server"

say() { printf '\n== %s\n' "$*"; }

# Runs a step that must be refused, and shows why it was.
refused() {
    if "$@" >"$work/said" 2>&1; then
        cat "$work/said"
        echo "this should have been refused: $*" >&2
        exit 1
    fi
    sed 's/^/   /' "$work/said"
}

cd "$work/laptop"
say "laptop: keys. Yours have passwords (leave --no-password out), and root keys stay on media in a safe"
for role in root root snapshot targets targets; do
    "$stage" bundle keygen --role "$role" --no-password keys 2>/dev/null
done
# shellcheck disable=SC2046 # names of keys have no blanks
set -- $(ls keys/root-*.key)
first_root=$1 second_root=$2

say "laptop: the root says whose signatures count; two keys must sign it"
"$stage" bundle root --root-key keys/root-*.pub --root-threshold 2 --snapshot-key keys/snapshot-*.pub \
    --targets-key keys/targets-*.pub --targets-threshold 2 --expires 2035-01-01 --key "$first_root" --out roots
"$stage" bundle sign roots/1.root.json --key "$second_root"

say "laptop: a first bundle on media of 256 KiB each"
mkdir -p config && cp -R "$root/config/." config
"$stage" bundle build --root roots/1.root.json --name site --version 1 --expires 2034-01-01 --config config \
    --component config/rules config/playbooks config/mappings config/suite \
    --key keys/snapshot-*.key keys/targets-*.key --volume-size 256K --out out-1
(cd out-1 && sha256sum -c --quiet SHA256SUMS)

say "laptop: an auditor verifies what is signed without any of our programs"
if command -v minisign >/dev/null; then
    for key in keys/targets-*.pub; do
        id=$(basename "$key" .pub)
        minisign -Vm out-1/targets.json -x "out-1/targets.json.${id#targets-}.minisig" -p "$key"
    done
else
    echo "   minisign is not installed here: left out"
fi

say "laptop: next month, better rules; the second signature comes from another machine"
printf 'title: A rule that came by bundle\nlogsource: {product: linux}\ndetection: {s: {CommandLine|contains: walkthrough}, condition: s}\nlevel: low\n' \
    >config/rules/linux/walkthrough.yml
# shellcheck disable=SC2046
set -- $(ls keys/targets-*.key)
next_build() {
    "$stage" bundle build --root roots/1.root.json --name site-rules --version 2 --expires 2034-06-01 --config config \
        --component config/rules --out out-2 "$@"
}
refused next_build --key keys/snapshot-*.key "$1"
"$stage" bundle sign out-2/targets.json --key "$2"
next_build

cp roots/* out-1/*.tar out-2/*.tar "$work/usb"
cd "$work/usb"
ls -l

site() { "$casemate" bundle "$@" --data-dir "$work/server/data"; }

say "server: once, the publisher's root. Compare its SHA-256 with what they tell you by telephone"
refused site verify site-1.1of*.tar
site trust 1.root.json

say "server: verify, then apply, one medium at a time"
site verify site-1.*.tar
for volume in site-1.*.tar; do
    site apply "$volume"
done
site list

say "server: a changed volume is refused"
cp site-rules-2.1of1.tar changed.tar
printf 'x' | dd of=changed.tar bs=1 seek=20000 conv=notrunc 2>/dev/null
refused site apply changed.tar

say "server: next month's rules, the old ones again, and back"
site apply site-rules-2.1of1.tar
refused site apply site-1.*.tar
site list
site rollback
site list

say "server: what is active is what was signed, and a changed file is found"
doctor() { "$casemate" doctor --verify --data-dir "$work/server/data" --config "$root/config" || true; }
# Models are missing here, which doctor says as well.
if doctor | grep "not what was signed"; then
    echo "nothing was changed yet" >&2
    exit 1
fi
rule=$(find "$work/server/data/bundles/releases/000001/config/rules" -name '*.yml' | head -n 1)
chmod u+w "$rule"
echo '# changed' >>"$rule"
doctor | grep "not what was signed"

say "server: every step is on record"
"$casemate" audit verify --data-dir "$work/server/data"
"$casemate" audit show --data-dir "$work/server/data" | grep -E 'root trusted|bundle (applied|refused|rolled back)'
say "done"
