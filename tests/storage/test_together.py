"""Readers and writers of one archive at the same time."""

import threading
from pathlib import Path

from made_processes import ingest
from made_tracks import CODEC, FACES_A_TRACK, begin, made_track
from sqlalchemy import text
from started import Started

from storage import Archive


def test_a_reader_sees_whole_tracks_and_is_never_locked_out(url: str) -> None:
    with Archive.open(url, create=True) as archive:
        writer = Started(ingest, url, "door", 80)
        seen: list[int] = []
        while writer.running:
            layers = archive.base_layers(CODEC)
            assert len(layers.face_ids) == FACES_A_TRACK * len(set(layers.track_ids))
            for face_id in layers.face_ids[-2:]:
                assert archive.code(face_id).base in layers.payloads
            seen.append(archive.info().tracks)
        writer.finish()
        assert seen == sorted(seen)
        assert any(0 < count < 80 for count in seen), "it was read while it was written"
        assert archive.info().tracks == 80


def test_processes_may_make_the_archive_and_write_to_it_at_the_same_time(url: str) -> None:
    writers = [Started(ingest, url, f"camera {k}", 15) for k in range(3)]
    for writer in writers:
        writer.finish()
    with Archive.open(url) as archive:
        assert [camera.tracks for camera in archive.info().cameras] == [15] * 3


def test_a_long_answer_and_busy_writers_do_not_wait_for_each_other(url: str) -> None:
    count = text("SELECT count(*) FROM tracks")
    with Archive.open(url, create=True) as archive:
        archive.add_track(begin(archive), made_track(0))
        with archive._reading() as long:
            assert long.execute(count).scalar_one() == 1
            writers = [Started(ingest, url, f"camera {k}", 40) for k in range(2)]
            while any(writer.running for writer in writers):
                assert long.execute(count).scalar_one() == 1, "it is answered from one state"
                archive.tracks()
            for writer in writers:
                writer.finish()
        assert archive.info().tracks == 81


def test_threads_share_one_archive(url: str) -> None:
    problems: list[BaseException] = []
    with Archive.open(url, create=True) as archive:

        def work(camera: str) -> None:
            try:
                source_id = begin(archive, camera=camera)
                for ordinal in range(10):
                    archive.add_track(source_id, made_track(ordinal))
                    archive.base_layers(CODEC)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(f"camera {k}",)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert archive.info().tracks == 40


def test_many_may_open_a_new_archive_at_once(tmp_path: Path) -> None:
    problems: list[BaseException] = []

    def work(path: str, together: threading.Barrier) -> None:
        try:
            together.wait()
            Archive.open(path, create=True).close()
        except BaseException as error:
            problems.append(error)

    for attempt in range(5):
        place = str(tmp_path / f"{attempt}.db"), threading.Barrier(6)
        threads = [threading.Thread(target=work, args=place) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []
