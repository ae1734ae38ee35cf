# What the two gates of replication share: a scratch folder, the benchmark, rules and the judgement. Sourced by them.

peers="${PEERS:-0}"
[[ "$attempts" =~ ^[1-9][0-9]*$ ]] || {
    printf 'ATTEMPTS is %s: give a number from 1 on\n' "$attempts" >&2
    exit 2
}

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

bench_args=()
[ "${QUICK:-0}" = 1 ] && bench_args+=(--quick)
[ -n "${BENCH_DIR:-}" ] && bench_args+=(--dir "$BENCH_DIR")

if [ -z "${KITEDB_BENCH:-}" ]; then
    features=()
    [ "$peers" = 1 ] && features=(--features peers)
    # What decides is built as what is shipped.
    profile="${PROFILE:-dist}"
    (cd "$here/.." && cargo build --profile "$profile" -p kitedb-bench "${features[@]}") || exit 2
    KITEDB_BENCH="$(cd "$here/.." && realpath "${CARGO_TARGET_DIR:-target}")/$profile/kitedb-bench"
fi

# Runs a subcommand of the benchmark. That it fails says nothing of the bounds.
bench() {
    "$KITEDB_BENCH" "$@" "${bench_args[@]}" || exit 2
}

# rule LABEL FIGURE SIDE BOUND
rule() {
    printf '%s\t%s\t%s\t%s\n' "$@"
}

# Exits with 2 if a bound is no number, before minutes are spent on it.
check_rules() {
    local status=0
    python3 "$here/replication-gate-table.py" <"$scratch/rules" >/dev/null || status=$?
    [ $status -le 1 ] || exit 2
}

# judge REPORT...: prints the table, and fails if a bound is missed.
judge() {
    printf '\n==== gate\n\n'
    if python3 "$here/replication-gate-table.py" "$@" <"$scratch/rules"; then
        printf '\nall bounds are met\n'
    else
        printf '\na bound is missed\n'
        return 1
    fi
}
