"""The databases that the servers of ``tests/http-conformance/`` are started with, and what happens to them behind a server's back."""

import base64
import hashlib
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import kitedb

Json = Any


class Scene:
    """A database, that of its source, and others that come and go: the case's own, or of all cases that change none."""

    def __init__(self, folder: Path, given: Json) -> None:
        folder.mkdir()
        self.folder, self.role = folder, given["role"]
        self.held = ExitStack()
        self.path, self.source = folder / "db.kitedb", folder / "source.kitedb"
        primary = self.source if self.role == "replica" else self.path
        leads: Literal["disabled", "primary"] = "disabled" if self.role == "disabled" else "primary"
        log = kitedb.OpenOptions(
            replication_role=leads,
            replication_segment_max_bytes=given.get("segment_max_bytes"),
            replication_retention_min_entries=given.get("keeps"),
        )
        with kitedb.open(primary, log) as db:
            commit(db, given["commits"])
            if "keeps" in given:
                db.primary_run_retention()
            if self.role != "replica":
                # From the outside, as others that follow do it.
                if given.get("taken_over", False):
                    self.take_over()
                return
            with kitedb.open(self.path, replication_role="replica", replication_source_db_path=self.source) as replica:
                replica.replica_bootstrap_from_snapshot()
            commit(db, given.get("behind", 0))
        if "lost_segment" in given:
            (self.sidecar / f"segment-{given['lost_segment']:020}.klog").unlink()

    @property
    def sidecar(self) -> Path:
        """Where the source has its log."""
        return Path(f"{self.source}.replication")

    def do(self, step: Json, kept: dict[str, Json]) -> None:
        """What a step does that asks nobody."""
        match step["do"]:
            case "commit":
                with kitedb.open(self.source) as db:
                    commit(db, step["times"])
            case "take over":
                self.take_over()
            case "lose the source":
                self.source.unlink()
                shutil.rmtree(self.sidecar)
            case "open the copy":
                self.open_copy(kept[step["of"]], step["nodes"])
            case "compare with the source":
                with kitedb.open(self.source, read_only=True) as db, kitedb.open(self.path, read_only=True) as replica:
                    assert (replica.count_nodes(), replica.digest()) == (step["nodes"], db.digest())
            case what:
                raise KeyError(what)

    def take_over(self) -> None:
        """Another node promotes itself in place of the primary, and leads from then on."""
        other = self.folder / "other.kitedb"
        db = self.held.enter_context(kitedb.open(other, replication_role="replica", replication_source_db_path=self.path))
        db.replica_bootstrap_from_snapshot()
        assert db.replica_promote().source_fenced

    def close(self) -> None:
        """Ends what leads in place of the primary."""
        self.held.close()

    def open_copy(self, snapshot: Json, nodes: int) -> None:
        """A copy that was taken is what is told of it, and a database."""
        data = base64.b64decode(snapshot["data_base64"], validate=True)
        assert snapshot["byte_length"] == len(data)
        assert {"sha256", "checksum_crc32c"} & snapshot.keys(), "no checksum is told"
        assert snapshot.get("sha256", sha256 := hashlib.sha256(data).hexdigest()) == sha256
        assert snapshot.get("checksum_crc32c", crc := f"{crc32c(data):08x}") == crc
        path = self.folder / f"copy-{sha256}.kitedb"
        path.write_bytes(data)
        with kitedb.open(path, read_only=True) as copy:
            assert copy.check().clean
            assert copy.count_nodes() == nodes
            assert snapshot.get("digest", digest := copy.digest()) == digest


def commit(db: kitedb.Database, times: int) -> None:
    """That many nodes, each by a commit of its own."""
    for _ in range(times):
        db.create_node()


def crc32c(data: bytes) -> int:
    """CRC-32C, which the standard library does not have."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_OF_BYTE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC_OF_BYTE = [crc_of(byte) for byte in range(256)]
