"""Identities of a real archive: kept as tracks come, corrected by users, told when somebody is watched for."""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import pytest
from fake_people import MINUTE, NOON, PeopleCodec, Site, looks
from typer.testing import CliRunner

from pipelines.children import Child
from pipelines.cli.app import app
from pipelines.events import Event
from pipelines.identities import following
from pipelines.identities.desk import Desk, called, said_of
from pipelines.identities.follower import Follower
from pipelines.identities.keeper import CONSOLIDATION, REREAD, Keeper
from pipelines.messages import Beat, Sighted
from pipelines.worker import Control
from storage import Archive, Rules, SightingRecord, Terms
from streamproc.config import Settings
from streamproc.errors import ArchiveError, SeenTogether, UnknownRecord
from streamproc.query.act_log import entries


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Archive.open(str(tmp_path / "site.db"), create=True) as archive:
        yield Site(archive)


def whose(desk: Desk, *tracks: str) -> list[str | None]:
    """The identities of tracks, as users see them."""
    found = {track.id: one.identity_id for one in desk.people() for track in desk.tracks(int(one.identity_id[1:]))}
    return [found.get(track) for track in tracks]


def test_tracks_are_gathered_once_and_stay(site: Site) -> None:
    anna, ben = site.walk("gate", 0, 0, 1), site.walk("gate", 1, 0, 1)
    keeper = Keeper(site.archive, PeopleCodec())
    assert keeper.gathered == 2
    again = site.walk("yard", 0, 1500, 1501)
    assert keeper.turn() == 1
    assert keeper.turn() == 0
    desk = Desk(site.archive, "me")
    one, other, same = whose(desk, anna, ben, again)
    assert one == same != other
    assert Keeper(site.archive, PeopleCodec()).gathered == 0
    assert whose(desk, anna, ben, again) == [one, other, same]


def test_what_was_removed_is_forgotten_within_a_day(site: Site) -> None:
    now = [0.0]
    site.walk("gate", 0, 0, 1)
    keeper = Keeper(site.archive, PeopleCodec(), steady=lambda: now[0])
    for _ in site.archive.clear(Rules(Terms(faces=timedelta())), NOON + 2 * MINUTE):
        pass
    now[0] = REREAD
    keeper.turn()
    site.walk("gate", 0, 0.5, 1.5)  # who was there at the same time is nobody any more
    keeper.turn()
    assert len(keeper) == 1


def test_a_track_that_grew_beside_another_of_its_person_is_somebody_else(site: Site) -> None:
    first, second = site.walk("gate", 0, 0, 1), site.walk("gate", 0, 3, 4)
    keeper = Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    assert len(set(whose(desk, first, second))) == 1
    site.walk("gate", 0, 0, 3.5, ordinal=0)
    keeper.turn()
    assert len(set(whose(desk, first, second))) == 2


def test_names_outlive_a_new_ingest_and_other_weights(site: Site) -> None:
    anna = site.walk("gate", 0, 0, 1)
    Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    desk.name(desk.find(whose(desk, anna)[0] or ""), "Anna")
    site.walk("gate", 5, 0, 1, ordinal=0)  # as other weights see the same track
    keeper = Keeper(site.archive, PeopleCodec())
    later = site.walk("yard", 5, 9, 10)
    keeper.turn()
    (person,) = desk.people()
    assert (person.name, person.tracks) == ("Anna", 2)
    assert whose(desk, later) == [person.identity_id]
    said = said_of(site.archive)
    assert [called(one, said) for one in (person.identity_id, "p9", None)] == [f"Anna ({person.identity_id})", "p9", ""]


def test_acts_hold_against_the_machine_and_are_taken_back(site: Site) -> None:
    tracks = [site.walk("gate", person, person, person + 0.5) for person in (0, 1, 2)]
    keeper = Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    before = whose(desk, *tracks)
    ids = [desk.find(one or "") for one in before]
    desk.name(ids[1], "Ben")
    merged = desk.merge(ids[0], [ids[1]])
    assert whose(desk, *tracks) == [before[0], before[0], before[2]]
    assert desk.find("Ben") == ids[0]
    apart = desk.split(ids[0], [tracks[0]])
    keeper.turn()
    later = [site.walk("yard", person, 100 + person, 100.5 + person) for person in (0, 1)]
    keeper.turn()
    assert whose(desk, *tracks, *later) == [apart.identity_id, before[0], before[2], apart.identity_id, before[0]]
    keeper.consolidate()
    desk.undo(None)
    desk.undo(merged.act)
    assert whose(desk, *tracks) == before
    desk.undo(len(desk.log()))  # the last undo: they are one again
    assert whose(desk, *tracks) == [before[0], before[0], before[2]]


def test_who_was_seen_side_by_side_is_never_one(site: Site) -> None:
    one, other, later = site.walk("gate", 0, 0, 2), site.walk("gate", 1, 1, 3), site.walk("gate", 0, 5, 6)
    Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    anna, ben = (desk.find(name or "") for name in whose(desk, one, other))
    with pytest.raises(SeenTogether, match="gate"):
        desk.merge(anna, [ben])
    assert desk.log() == []
    desk.split(anna, [one])
    desk.merge(anna, [ben])  # what is left of her was not
    assert len(set(whose(desk, other, later))) == 1
    with pytest.raises(SeenTogether):
        desk.undo(1)
    with pytest.raises(UnknownRecord, match="none of"):
        desk.split(anna, [one])


def test_two_users_at_once_are_told(site: Site) -> None:
    site.walk("gate", 0, 0, 1)
    Keeper(site.archive, PeopleCodec())
    identities = site.archive.identities
    identities.enter('{"kind": "named", "identity": 1, "name": "Anna"}', "a", NOON, 0)
    with pytest.raises(ArchiveError, match="look again"):
        identities.enter('{"kind": "named", "identity": 1, "name": "Ben"}', "b", NOON, 0)
    identities.enter('{"kind": "sung", "identity": 1}', "a", NOON, 1)
    with pytest.raises(ArchiveError, match="Act 2"):
        entries(identities.acts())


def test_alike_identities_are_joined_in_the_background(site: Site) -> None:
    clock = itertools.count(0, CONSOLIDATION)
    keeper = Keeper(site.archive, PeopleCodec(), steady=lambda: float(next(clock)))
    tracks = [site.walk("gate", 0, 0, 1), site.walk("gate", 1, 5, 6)]
    site.archive.identities.begin(NOON, 2)
    site.archive.identities.assign({tracks[0]: "p1", tracks[1]: "p2", "nobody-0000": "p1"})
    site.walk("gate", 1, 5, 6, ordinal=0)  # the first one's face was told wrongly: it is the second's
    keeper = Keeper(site.archive, PeopleCodec(), steady=lambda: float(next(clock)))
    assert keeper.consolidate(everything=True) == 0, "they are side by side now"
    site.walk("gate", 1, 0, 1, ordinal=0)
    keeper = Keeper(site.archive, PeopleCodec(), steady=lambda: float(next(clock)))
    assert keeper.consolidate(everything=True) == 1
    assert [one.identity_id for one in Desk(site.archive, "me").people()] == ["p1"]


def test_who_is_watched_for_is_told_once_and_soon(site: Site) -> None:
    told: list[SightingRecord] = []
    first = site.walk("gate", 0, 0, 1)
    keeper = Keeper(site.archive, PeopleCodec(), told.append)
    (person,) = Desk(site.archive, "me").people()
    watches = site.archive.watches
    watches.add_identity("anna", int(person.identity_id[1:]), NOON)
    watches.add_photo("ben", "people", looks(1), 0.9, NOON)
    watches.add_photo("carl", "other", looks(1), 0.9, NOON)
    with pytest.raises(ArchiveError, match="already"):
        watches.add_photo("ben", "people", looks(2), 0.9, NOON)
    keeper.turn()
    assert told == [], "what was there before is no news"
    tracks = [site.walk("yard", person, 10 + person, 11 + person) for person in (0, 1, 2)]
    keeper.turn()
    assert [(one.watch, one.track.id) for one in told] == [("anna", tracks[0]), ("ben", tracks[1])]
    assert all(one.probability > 0.9 for one in told)
    site.walk("yard", 0, 10, 11.5, ordinal=0)  # the same passage, seen for longer
    keeper.turn()
    assert len(told) == 2
    assert [one.watch for one in watches.sightings()] == ["anna", "ben"]
    watches.remove("anna")
    assert [one.watch for one in watches.sightings()] == ["ben"]
    with pytest.raises(UnknownRecord):
        watches.remove("anna")
    assert first not in [one.track.id for one in watches.sightings()]


@pytest.fixture
def asked(site: Site, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def ask(*words: str, code: int = 0) -> dict[str, Any]:
        result = CliRunner().invoke(app, [*words, "--archive", str(tmp_path / "site.db"), "--json"])
        assert result.exit_code == code, result.output
        return dict(json.loads(result.stdout)) if code == 0 else {}

    return ask


def test_the_commands(site: Site, asked: Callable[..., dict[str, Any]]) -> None:
    tracks = [site.walk("gate", 0, 0, 1), site.walk("gate", 1, 0.5, 1.5), site.walk("yard", 0, 5, 6)]
    Keeper(site.archive, PeopleCodec())
    listed = asked("identity", "list")["identities"]
    assert isinstance(listed, list)
    by_tracks = {one["tracks"]: one["identity_id"] for one in listed}
    anna, ben = by_tracks[2], by_tracks[1]
    assert asked("identity", "name", anna, "Anna")["act"] == 1
    visits = asked("identity", "timeline", "Anna")["visits"]
    assert [(one["camera"], one["tracks"]) for one in visits] == [("gate", [tracks[0]]), ("yard", [tracks[2]])]
    (met,) = asked("identity", "with", "Anna")["companions"]
    assert (met["identity_id"], met["meetings"][0]["other_track"]) == (ben, tracks[1])
    (journey,) = asked("identity", "journeys", "gate", "yard")["journeys"]
    assert (journey["name"], journey["then_track"]) == ("Anna", tracks[2])
    assert asked("identity", "journeys", "gate", "yard", "--within", "60")["journeys"] == []
    asked("identity", "merge", anna, ben, code=1)
    asked("identity", "ignore", ben)
    assert len(asked("identity", "list")["identities"]) == 1
    asked("identity", "undo")
    assert len(asked("identity", "list")["identities"]) == 2
    new = asked("identity", "split", "Anna", tracks[2])["identity_id"]
    assert new not in (anna, ben)
    log = asked("identity", "log")["acts"]
    assert [(one["act"], one["holds"]) for one in log] == [(1, True), (2, False), (3, True), (4, True)]
    asked("watch", "add", "thief", "--identity", "Anna")
    (watch,) = asked("watch", "list")["watches"]
    assert (watch["watch"], watch["identity_id"], watch["sightings"]) == ("thief", anna, 0)
    assert asked("watch", "events")["events"] == []
    asked("watch", "remove", "thief")
    asked("watch", "add", "thief", code=2)
    asked("identity", "timeline", "Nobody", code=1)


def test_companions_within_some_time(site: Site) -> None:
    site.walk("gate", 0, 0, 1)
    site.walk("gate", 1, 1.5, 2)
    Keeper(site.archive, PeopleCodec())
    desk = Desk(site.archive, "me")
    (anna,) = [one for one in desk.people() if one.first == NOON]
    number = int(anna.identity_id[1:])
    assert desk.companions(number, timedelta()) == ()
    assert len(desk.companions(number, MINUTE)) == 1


class Childish:
    """A child process that says what the test puts into its mouth."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.heard, self.exit_code, self.ended = 0.0, cast(int | None, None), False

    def messages(self) -> Iterator[object]:
        while self.said:
            yield self.said.pop(0)

    def last_words(self) -> str:
        return "was killed by SIGKILL"

    def end(self) -> None:
        self.ended = True


def test_the_supervisor_tells_of_sightings_and_starts_a_dead_keeper_anew() -> None:
    events: list[Event] = []
    children: list[Childish] = []
    now = [0.0]

    def start() -> Child:
        children.append(Childish())
        return cast(Child, children[-1])

    follower = Follower(start, events.append, lambda: now[0])
    follower.turn(up=False)
    assert children == []
    follower.turn(up=True)
    children[0].said = [Beat(), Sighted("thief", "gate", "5f-0001", NOON, 0.93)]
    follower.turn(up=True)
    assert [(event.name, event.camera, event.track, event.detail) for event in events] == [
        ("sighting", "gate", "5f-0001", "thief")
    ]
    assert "2026-03-01 12:00:00 UTC" in str(events[0])
    assert follower.sightings == {("thief", "gate"): 1}
    children[0].exit_code = -9
    for _ in range(3):
        follower.turn(up=True)
    assert (len(children), children[0].ended, events[-1].name) == (1, True, "identities_restarted")
    now[0] = 3.0
    follower.turn(up=True)
    assert len(children) == 2
    now[0] = 400.0
    follower.turn(up=True)
    assert children[1].ended, "it gave no sign of life"
    follower.end()
    Follower(None, events.append).turn(up=True)


def test_the_process_gathers_and_tells(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamproc.codec.face_codec.FaceCodec.load", lambda *_: PeopleCodec())
    site.walk("gate", 0, 0, 1)
    site.archive.watches.add_photo("thief", "people", looks(1), 0.9, NOON)
    said: list[object] = []

    class Line:
        def send(self, message: object) -> None:
            said.append(message)
            if isinstance(message, Beat) and len(said) == 2:
                site.walk("gate", 1, 5, 6)
            if isinstance(message, Sighted):
                control.stopping.set()

    control = Control(cast(Connection, Line()))
    monkeypatch.setattr(control, "stoppable", lambda: None)
    following.run(control, str(tmp_path / "site.db"), Settings())
    (sighted,) = [one for one in said if isinstance(one, Sighted)]
    assert (sighted.watch, sighted.camera, sighted.at) == ("thief", "gate", NOON + 5 * MINUTE)
    assert len(Desk(site.archive, "me").people()) == 2
