"""The sequencer on a real database: the order of late commits, restarts at every point, and a log that was changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest

from app.domain.checkpoints import Checkpoint
from app.domain.merkle import leaf_hash, root_of
from app.lifecycle.sequence import HEARTBEAT, LogContradicts, Sequencer
from app.settings import Settings
from app.storage.checkpoint_folder import CheckpointFolder, CheckpointWriter, FolderUnusable
from app.storage.log_sequence import LogSequence
from app.storage.transaction import Database
from local.postgresql import EmbeddedPostgres
from tests.storage import rows

ANN = UUID(int=0xA)


class Clock:
    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


class Room:
    """A log, a folder, and sequencers that come and go."""

    def __init__(self, settings: Settings, folder: Path, superuser_url: str) -> None:
        self.settings, self.folder, self.clock = settings, folder, Clock()
        self.reader = Database(settings.sqlalchemy_url("compliance"))
        self.superuser_url = superuser_url

    def writes(self) -> psycopg2.extensions.connection:
        """A worker's connection: what it inserts is committed when the test says so."""
        return psycopg2.connect(self.settings.database_url_worker)

    def log(self, connection: psycopg2.extensions.connection, number: int) -> bytes:
        hash_ = number.to_bytes(32)
        with connection.cursor() as cursor:
            rows.insert(cursor, "execution_logs", rows.execution_log(ANN, None, hash=hash_))
        return hash_

    def logged(self, *numbers: int) -> list[bytes]:
        with closing(self.writes()) as connection, connection:
            return [self.log(connection, number) for number in numbers]

    def run(self, times: int = 1) -> Checkpoint | None:
        """A sequencer that starts, runs and ends."""
        checkpoint = None
        with closing(self.writer()) as writer:
            sequencer = Sequencer(LogSequence(self.reader), writer, self.clock)
            for _ in range(times):
                checkpoint = sequencer.run_once()
        return checkpoint

    def writer(self) -> CheckpointWriter:
        return CheckpointWriter(self.folder, self.folder / "key.pem", name="test-log")

    def as_superuser(self, statement: str, *values: object) -> None:
        name = self.settings.database_url.rpartition("/")[2]
        with closing(psycopg2.connect(self.superuser_url, dbname=name)) as connection, connection:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE execution_logs DISABLE TRIGGER USER")
                cursor.execute(statement, values)
                assert cursor.rowcount > 0


@pytest.fixture
def room(settings: Settings, tmp_path: Path, postgres_server: EmbeddedPostgres) -> Iterator[Room]:
    room = Room(settings, tmp_path / "audit", postgres_server.test_superuser_url)
    with closing(room.writes()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    yield room
    room.reader.close()


def root(hashes: list[bytes]) -> bytes:
    return root_of([leaf_hash(hash_) for hash_ in hashes])


def test_what_is_committed_is_signed_in_its_order(room: Room) -> None:
    hashes = room.logged(1, 2, 3)
    checkpoint = room.run()
    assert checkpoint is not None
    assert (checkpoint.size, checkpoint.root) == (3, root(hashes))
    assert [one.size for one in CheckpointFolder(room.folder).checkpoints()] == [3]


def test_a_transaction_that_commits_late_takes_its_place_before_later_ones_and_nothing_overtakes_it(room: Room) -> None:
    before = room.logged(1)
    with closing(room.writes()) as late, late:
        first = room.log(late, 2)  # the lower transaction number, committed last
        second = room.logged(3)
        waiting = room.run()
        assert waiting is not None and (waiting.size, waiting.root) == (1, root(before))
        third = room.log(late, 4)
    checkpoint = room.run()
    assert checkpoint is not None
    assert (checkpoint.size, checkpoint.root) == (4, root([*before, first, third, *second]))


def test_a_transaction_that_is_rolled_back_leaves_no_gap(room: Room) -> None:
    before = room.logged(1)
    with closing(room.writes()) as failing:
        room.log(failing, 2)
        after = room.logged(3)
        failing.rollback()
    checkpoint = room.run()
    assert checkpoint is not None and checkpoint.root == root([*before, *after])


def test_an_idle_log_is_signed_again_once_a_minute(room: Room) -> None:
    room.logged(1)
    with closing(room.writer()) as writer:
        sequencer = Sequencer(LogSequence(room.reader), writer, room.clock)
        assert sequencer.run_once() is not None
        assert sequencer.run_once() is None
        room.clock.at += HEARTBEAT
        again = sequencer.run_once()
    assert again is not None and again.size == 1


def test_it_goes_on_where_it_stopped(room: Room) -> None:
    hashes = room.logged(1, 2)
    room.run()
    hashes += room.logged(3)
    checkpoint = room.run()
    assert checkpoint is not None and (checkpoint.size, checkpoint.root) == (3, root(hashes))
    assert [one.size for one in CheckpointFolder(room.folder).checkpoints()] == [2, 3]


def test_leaves_that_were_written_and_not_signed_are_read_again(room: Room) -> None:
    hashes = room.logged(1, 2)
    room.run()
    with (room.folder / "leaves").open("ab") as file:
        file.write(b"\x07" * 70)
    hashes += room.logged(3)
    checkpoint = room.run()
    assert checkpoint is not None and checkpoint.root == root(hashes)
    assert (room.folder / "leaves").stat().st_size == 3 * 32


@pytest.mark.parametrize("cut", [1, 2, 30, 110])
def test_a_checkpoint_whose_writing_was_cut_short_does_not_count(room: Room, cut: int) -> None:
    room.logged(1, 2)
    room.run()
    hashes_later = room.logged(3)
    assert hashes_later
    room.run()
    (day,) = CheckpointFolder(room.folder).days()
    text = day.read_bytes()
    day.write_bytes(text[:-cut])
    room.clock.at += timedelta(seconds=1)
    assert room.run() is not None
    assert [one.size for one in CheckpointFolder(room.folder).checkpoints()] == [2, 3]


def test_lost_leaves_are_read_from_the_database_and_must_lead_to_what_was_signed(room: Room) -> None:
    hashes = room.logged(1, 2, 3)
    room.run()
    (room.folder / "leaves").unlink()
    hashes += room.logged(4)
    checkpoint = room.run()
    assert checkpoint is not None and checkpoint.root == root(hashes)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM execution_logs WHERE position = (SELECT max(position) FROM execution_logs)",
        "UPDATE execution_logs SET hash = '\\x00' WHERE position = (SELECT max(position) FROM execution_logs)",
    ],
)
def test_it_does_not_sign_over_a_last_row_that_is_gone_or_changed(room: Room, tampering: str) -> None:
    room.logged(1, 2)
    room.run()
    room.as_superuser(tampering)
    room.logged(3)
    with pytest.raises(LogContradicts, match="is gone from the database or was changed"):
        room.run()
    assert [one.size for one in CheckpointFolder(room.folder).checkpoints()] == [2]


def test_a_database_whose_transactions_count_from_the_beginning_again_is_not_signed(room: Room) -> None:
    room.logged(1)
    checkpoint = room.run()
    assert checkpoint is not None
    ahead = replace(checkpoint, at=room.clock.at, last=replace(checkpoint.last, transaction=2**40))
    with closing(room.writer()) as writer:
        writer.add_checkpoint(ahead)
    with pytest.raises(LogContradicts, match="was it restored from a dump"):
        room.run()


def test_changed_leaves_are_not_signed_over(room: Room) -> None:
    room.logged(1, 2)
    room.run()
    leaves = (room.folder / "leaves").read_bytes()
    (room.folder / "leaves").write_bytes(bytes([leaves[0] ^ 1]) + leaves[1:])
    with pytest.raises(FolderUnusable, match="is not what the newest checkpoint has signed"):
        room.run()


def test_two_sequencers_do_not_write_to_one_folder(room: Room) -> None:
    with closing(room.writer()), pytest.raises(FolderUnusable, match="another sequencer"):
        room.writer()


def test_another_signing_key_signs_on_under_the_same_name_and_both_are_known(room: Room) -> None:
    room.logged(1)
    room.run()
    (room.folder / "key.pem").unlink()
    room.logged(2)
    assert room.run() is not None
    folder = CheckpointFolder(room.folder)
    assert [key.name for key in folder.verification_keys()] == ["test-log", "test-log"]
    assert [one.size for one in folder.checkpoints()] == [1, 2]


def test_the_signing_key_is_its_owner_s_alone(room: Room) -> None:
    room.run()
    assert (room.folder / "key.pem").stat().st_mode & 0o777 == 0o600


def test_the_sequencer_s_login_can_read_and_nothing_else(room: Room) -> None:
    with closing(psycopg2.connect(room.settings.database_url_compliance)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
            " AND has_table_privilege(c.oid, privilege)"
        )
        assert cursor.fetchall() == [(0,)]
