"""Primaries and replicas, by the runbook."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kitedb
from kitedb._reports import ReplicaReplicationStatus


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here.kitedb"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there.kitedb"


@pytest.fixture
def primary(here: Path) -> Iterator[kitedb.Database]:
    with kitedb.open(here, replication_role="primary") as db:
        db.create_node("ada")
        yield db


@pytest.fixture
def replica(primary: kitedb.Database, there: Path) -> Iterator[kitedb.Database]:
    with kitedb.open(there, replication_role="replica", replication_source_db_path=primary.path, replication_name="there") as db:
        db.replica_bootstrap_from_snapshot()
        yield db


def status(replica: kitedb.Database) -> ReplicaReplicationStatus:
    status = replica.replica_replication_status()
    assert status is not None
    return status


def test_a_replica_is_bootstrapped_and_catches_up(primary: kitedb.Database, replica: kitedb.Database) -> None:
    assert replica.digest() == primary.digest()
    for n in range(10):
        primary.create_node(f"n{n}")
    assert replica.replica_catch_up_once(4) == 4
    assert replica.replica_catch_up_once(100) == 6
    assert replica.replica_catch_up_once(100) == 0
    assert replica.digest() == primary.digest()
    told = status(replica)
    assert (told["needs_reseed"], told["last_error"], told["applied_log_index"]) == (False, None, 11)
    assert dict(told)["role"] == "replica"

    of_primary = primary.primary_replication_status()
    assert of_primary is not None
    assert (of_primary.epoch, of_primary.head_log_index, of_primary.append_failures) == (1, 11, 0)
    assert [lag.name for lag in of_primary.replica_lags] == ["there"]
    assert primary.replica_replication_status() is None
    with pytest.raises(kitedb.InputError) as caught:
        replica.create_node("refused")
    assert caught.value.code == "REPLICA_READ_ONLY"
    with pytest.raises(kitedb.InputError) as caught:
        primary.replica_catch_up_once(1)
    assert caught.value.code == "NOT_REPLICA"


def test_a_token_is_waited_for_on_another_node(primary: kitedb.Database, replica: kitedb.Database) -> None:
    replica.start_follower(poll_ms=100)
    with primary.transaction() as tx:
        tx.create_node("charles")
        token = tx.commit_with_token()
    assert token == "1:2"
    assert replica.wait_for_token(token, 60_000)
    assert replica.node_by_key("charles") is not None
    assert replica.wait_for_token_outcome("1:99", 1) == "timed_out"
    assert not replica.wait_for_token("1:99", 0)
    assert status(replica).follower_running
    replica.stop_follower()
    with pytest.raises(RuntimeError, match="Invalid token"):
        replica.wait_for_token("one", 1)
    with pytest.raises(TypeError, match="no option 'pol_ms'"):
        replica.start_follower(pol_ms=1)  # type: ignore[call-arg]


def test_a_promotion_fences_the_old_primary(primary: kitedb.Database, replica: kitedb.Database, there: Path, here: Path) -> None:
    last = primary.last_commit_token()
    promotion = replica.replica_promote()
    assert (promotion.epoch, promotion.last_kept, promotion.source_fenced) == (2, last, True)
    assert replica.replication_role == "primary"
    with pytest.raises(kitedb.FencedError) as caught:
        primary.create_node("too late")
    assert (caught.value.code, caught.value.kind, caught.value.epoch) == ("STALE_PRIMARY", "fenced", 2)
    assert "stale primary" in str(caught.value)
    replica.create_node("mary")

    primary.close()
    with kitedb.open(here, replication_role="replica", replication_source_db_path=there) as back:
        back.replica_catch_up_once(1000)
        assert back.digest() == replica.digest()
        found = kitedb.compare_deep(back, replica)
        assert (found.equal, found.differences, found.lead) == (True, [], 0)


def test_the_next_epoch_begins_where_its_operator_says_so(primary: kitedb.Database) -> None:
    assert primary.primary_promote_to_next_epoch() == 2
    tx = primary.begin()
    tx.create_node("new")
    assert tx.commit_with_token() == "2:2"


def test_retention_lets_go_and_a_replica_that_needed_it_is_reseeded(here: Path, there: Path) -> None:
    options = kitedb.OpenOptions(
        replication_role="primary", replication_segment_max_bytes=1, replication_retention_min_entries=0
    )
    with kitedb.open(here, options) as primary:
        primary.create_node("ada")
        follows = kitedb.OpenOptions(replication_role="replica", replication_source_db_path=here, replication_unregistered=True)
        with kitedb.open(there, follows) as replica:
            replica.replica_bootstrap_from_snapshot()
            for n in range(20):
                primary.create_node(f"n{n}")
            primary.checkpoint()
            outcome = primary.primary_run_retention()
            assert outcome.pruned_segments > 0
            assert outcome["retained_floor"] > 2
            with pytest.raises(kitedb.ReseedRequiredError) as caught:
                replica.replica_catch_up_once(100)
            assert (caught.value.code, caught.value.kind) == ("NEEDS_RESEED", "reseed")
            assert status(replica).needs_reseed
            replica.replica_reseed_from_snapshot()
            assert not status(replica).needs_reseed
            assert replica.digest() == primary.digest()


def test_progress_is_reported_for_who_cannot(primary: kitedb.Database) -> None:
    primary.primary_report_replica_progress("elsewhere", 1, 1)
    told = primary.primary_replication_status()
    assert told is not None and [lag.replica_id for lag in told.replica_lags] == ["elsewhere"]
    assert primary.primary_remove_replica("elsewhere")
    assert not primary.primary_remove_replica("elsewhere")
    with pytest.raises(kitedb.InputError) as caught:
        primary.primary_report_replica_progress("elsewhere", 7, 1)
    assert caught.value.code == "EPOCH_MISMATCH"


def test_the_log_and_a_copy_are_told_as_json(primary: kitedb.Database, tmp_path: Path) -> None:
    for n in range(3):
        primary.create_node(f"n{n}")
    snapshot = json.loads(kitedb.collect_replication_snapshot_transport_json(primary, include_data=True))
    assert snapshot["epoch"] == 1
    copy = tmp_path / "copy"
    copy.write_bytes(base64.b64decode(snapshot["data_base64"]))
    page = json.loads(kitedb.collect_replication_log_transport_json(primary, max_frames=2))
    assert len(page["frames"]) == 2
    rest = json.loads(kitedb.collect_replication_log_transport_json(primary, cursor=page["next_cursor"], include_payload=False))
    assert len(rest["frames"]) == 2
    with pytest.raises(ValueError, match="(?i)invalid cursor"):
        kitedb.collect_replication_log_transport_json(primary, cursor="nowhere")

    with primary.primary_export_snapshot() as export:
        image = export.read(0, export.byte_length)
        assert export.digest == primary.digest()
        assert json.loads(primary.export_replication_log_transport_json(export.start_cursor))["frames"] == []
    assert len(image) > 0
    with pytest.raises(kitedb.InputError):
        export.read(0, 1)


def test_files_are_mended_by_an_operators_word(here: Path, there: Path) -> None:
    with kitedb.open(here, replication_role="primary") as primary:
        primary.create_node("ada")
        with kitedb.open(there, replication_role="replica", replication_source_db_path=here) as replica:
            replica.replica_bootstrap_from_snapshot()
    detached = kitedb.Database.detach(there)
    assert detached.last_token is not None
    with kitedb.open(there) as alone:
        assert alone.replication_role == "disabled"
        alone.create_node("own")
    assert kitedb.Database.repair(here, dry_run=True).clean
    assert kitedb.Database.run_retention_at(here, {"min_entries": 1}).retained_floor >= 0
    with pytest.raises(TypeError, match="no option 'min'"):
        kitedb.Database.run_retention_at(here, {"min": 1})  # type: ignore[arg-type]


def test_two_processes_replicate(here: Path, there: Path) -> None:
    script = """
import kitedb, sys
with kitedb.open(sys.argv[1], replication_role="primary") as db:
    for line in sys.stdin:
        tx = db.begin()
        tx.create_node(line.strip())
        print(tx.commit_with_token(), flush=True)
    print(db.digest(), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, here], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def commit(key: str) -> str:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{key}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        commit("ada")
        with kitedb.open(there, replication_role="replica", replication_source_db_path=here) as replica:
            replica.replica_bootstrap_from_snapshot()
            replica.start_follower()
            tokens = [commit(f"n{n}") for n in range(20)]
            assert replica.wait_for_token(tokens[-1], 60_000)
            process.stdin.close()
            assert process.stdout.readline().strip() == replica.digest()
