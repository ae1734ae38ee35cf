#!/usr/bin/env bash
# Runs compiled tests with their temporary folder on other file systems, each made in a file and mounted: ext4, xfs (with
# reflink), btrfs, tmpfs, overlay, and FUSE (bindfs over ext4). Needs root, mkfs of each, and loop devices; what cannot be made
# here is said to be skipped.
#
#     scripts/file-systems.sh                  # all of them
#     scripts/file-systems.sh btrfs xfs        # only these
#     TESTS='files attacks' scripts/file-systems.sh                    # subjects of the target `engine`, or other targets
#     ROUNDS=100 AT_ONCE=3 TESTS=files scripts/file-systems.sh ext4    # again and again, three at once
#     BUILD=--release scripts/file-systems.sh  # options of cargo test: such a build takes minutes, and its rounds a third of the time
#
# Tests that cannot hold on a file system are left out there and counted, with the reason, below. Ends with 1 if a test failed
# anywhere.

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

# What overlay and FUSE say of a file changes by itself (copy-up, remounts), so that a copied database is only warned of there.
tells_no_copies=(
    copies::a_copied_primary_does_not_look_healthy
    copies::a_copied_primary_reads_and_does_not_write_before_the_operator_says_so
    copies::a_copy_that_was_taken_in_use_says_what_it_lacks_and_is_written_to_only_if_told
    copies::a_restored_primary_reads_and_does_not_write_before_the_operator_says_so
    copies::nobody_promotes_through_a_copied_primary
    followers::a_copied_replica_that_loses_its_control_file_keeps_its_id
    lost_logs::a_repair_of_a_copied_primary_says_that_it_is_one
    sources::a_copy_of_a_replica_may_follow_what_it_was_copied_from
    sources::a_placeholder_in_the_place_of_a_source_is_told
    sources::a_replica_of_a_copied_primary_does_not_look_healthy
    tokens::a_commit_of_a_rival_in_an_epoch_of_the_same_number_is_never_reached
    unnamed_logs::a_file_of_before_it_led_commits_nothing_beside_the_log_that_it_led
)
# A file that was removed while it was open lingers on FUSE, and its folder with it: these expect the folder to be gone, or
# remove it.
keeps_folders=(
    copies::a_detached_database_is_one_of_its_own
    destruction::a_bootstrap_over_a_database_that_never_replicated_is_refused
    disks::a_part_of_the_database_that_is_not_there_is_damage_that_names_it
    exchanges::a_detach_removes_nothing_of_a_database_that_took_the_place_of_its_own
    names::a_refused_open_leaves_nothing
    readers::a_log_that_takes_the_place_of_another_while_a_reader_checks_is_not_taken_for_it
    repair::a_control_file_that_turns_up_again_gives_nobody_the_lead
    repair::a_file_that_is_older_than_its_log_takes_from_it_what_it_lacks
    repair::a_repair_keeps_its_hands_off
    reseeds::a_damaged_replica_gives_up_nothing_that_its_log_has_unasked
    unnamed_logs::a_file_that_was_removed_is_not_made_anew_by_the_name_that_it_had
)

# left_out FILE_SYSTEM: the tests of `attacks` that cannot hold there, in $left_out
left_out() {
    case "$1" in
        overlay) left_out=("${tells_no_copies[@]}") ;;
        fuse) left_out=("${tells_no_copies[@]}" "${keeps_folders[@]}") ;;
        *) left_out=() ;;
    esac
}

targets=(--test engine)
for test in $tests; do
    if [ -e "crates/kitedb-core/tests/$test" ]; then
        targets+=(--test "$test")
    fi
done
compiled="$scratch/compiled"
read -ra build <<<"${BUILD:-}"
cargo test -q "${build[@]}" -p kitedb-core "${targets[@]}" --no-run --message-format=json |
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
    left_out "$system"
    for name in $tests; do
        chosen=()
        binary="$(awk -v name="$name" '$1 == name { print $2 }' "$compiled")"
        if [ -z "$binary" ]; then
            binary="$(awk '$1 == "engine" { print $2 }' "$compiled")"
            chosen=("$name::")
        fi
        passed=0
        skipped=()
        if [ "$name" = attacks ]; then
            for test in "${left_out[@]}"; do
                skipped+=(--skip "$test")
            done
        fi
        for ((round = 0; round < rounds; round += at_once)); do
            running=()
            for ((n = 0; n < at_once; n++)); do
                TMPDIR="$folder" "$binary" -q "${chosen[@]}" "${skipped[@]}" >"$scratch/$name.$n.log" 2>&1 &
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
        printf '%-8s %-22s %d passed' "$system" "$name" "$passed"
        [ ${#skipped[@]} -eq 0 ] || printf ', each without %d tests that cannot hold here' $((${#skipped[@]} / 2))
        printf '\n'
    done
done
exit "$failed"
