#!/usr/bin/env bash
# Runs compiled tests with their temporary folder on other file systems, each made in a file and mounted: ext4, xfs (with
# reflink), btrfs, tmpfs, overlay, and FUSE (bindfs over ext4). Needs root, mkfs of each, and loop devices; what cannot be made
# here is said to be skipped.
#
#     scripts/file-systems.sh                  # all of them
#     scripts/file-systems.sh btrfs xfs        # only these
#     TESTS='files attacks' scripts/file-systems.sh
#     ROUNDS=100 AT_ONCE=3 TESTS=files scripts/file-systems.sh ext4    # again and again, three at once
#
# Ends with 1 if a test failed anywhere.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tests="${TESTS:-files acid damage snapshots attacks replication_phase_b replication_phase_d full_disk}"
rounds="${ROUNDS:-1}"
at_once="${AT_ONCE:-1}"
systems=("$@")
if [ ${#systems[@]} -eq 0 ]; then
    systems=(ext4 xfs btrfs tmpfs overlay fuse)
fi

scratch="$(mktemp -d "${SCRATCH:-$PWD/target}/file-systems.XXXXXX")"
mounted=()
clean() {
    local at
    for at in "${mounted[@]}"; do
        umount "$at" 2>/dev/null || umount -l "$at" || true
    done
    rm -rf "$scratch"
}
trap clean EXIT

remember() {
    mounted=("$1" "${mounted[@]}")
}

# image FILE_SYSTEM: its image, mounted at $scratch/FILE_SYSTEM
image() {
    truncate -s "${IMAGE_BYTES:-2G}" "$scratch/$1.image"
    case "$1" in
        ext4) mkfs.ext4 -q -F "$scratch/$1.image" ;;
        xfs) mkfs.xfs -q -m reflink=1 "$scratch/$1.image" ;;
        btrfs) mkfs.btrfs -q "$scratch/$1.image" ;;
    esac
    mkdir "$scratch/$1"
    mount -o loop "$scratch/$1.image" "$scratch/$1"
    remember "$scratch/$1"
}

# made FILE_SYSTEM: the folder to work in, in $folder
made() {
    folder="$scratch/$1"
    case "$1" in
        ext4 | xfs | btrfs) image "$1" ;;
        tmpfs)
            mkdir "$folder"
            mount -t tmpfs -o size=1g none "$folder"
            remember "$folder"
            ;;
        overlay)
            mkdir "$folder" "$folder/base"
            mount -t tmpfs -o size=1g none "$folder/base"
            remember "$folder/base"
            mkdir "$folder/base/lower" "$folder/base/upper" "$folder/base/work" "$folder/top"
            mount -t overlay -o "lowerdir=$folder/base/lower,upperdir=$folder/base/upper,workdir=$folder/base/work" \
                none "$folder/top"
            remember "$folder/top"
            folder="$folder/top"
            ;;
        fuse)
            mkdir "$folder" "$scratch/below"
            bindfs "$scratch/below" "$folder"
            remember "$folder"
            ;;
        *)
            printf 'no file system %s: ext4, xfs, btrfs, tmpfs, overlay, fuse\n' "$1" >&2
            exit 2
            ;;
    esac
}

targets=()
for test in $tests; do
    targets+=(--test "$test")
done
compiled="$scratch/compiled"
cargo test -q -p kitedb-core "${targets[@]}" --no-run --message-format=json |
    python3 -c '
import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and "test" in built["target"]["kind"]:
        print(built["target"]["name"], built["executable"])
' >"$compiled"

failed=0
for system in "${systems[@]}"; do
    if ! made "$system" >"$scratch/made.log" 2>&1; then
        printf '%-8s skipped: %s\n' "$system" "$(tail -n 1 "$scratch/made.log")"
        continue
    fi
    while read -r name binary; do
        passed=0
        for ((round = 0; round < rounds; round += at_once)); do
            running=()
            for ((n = 0; n < at_once; n++)); do
                TMPDIR="$folder" "$binary" -q >"$scratch/$name.$n.log" 2>&1 &
                running+=($!)
            done
            for n in "${!running[@]}"; do
                if wait "${running[$n]}"; then
                    passed=$((passed + 1))
                else
                    failed=1
                    printf '%-8s %s FAILED\n' "$system" "$name"
                    grep -E '^test .*FAILED|panicked at|^    [a-z_:]+$' "$scratch/$name.$n.log" | head -n 20 || true
                fi
            done
        done
        printf '%-8s %-22s %d passed\n' "$system" "$name" "$passed"
    done <"$compiled"
done
exit "$failed"
