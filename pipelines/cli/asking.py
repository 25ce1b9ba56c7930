"""`search` and `reconstruct`: answers out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipelines.cli.output import (
    ArchiveOption,
    CameraOption,
    ConfigOption,
    JsonOption,
    SinceOption,
    UntilOption,
    emit,
    err,
    moment,
    out,
    work,
)
from streamproc.types import Layer

if TYPE_CHECKING:
    from streamproc.query import SearchResult
    from streamproc.types import Match


def search(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photo of the person.")],
    archive: ArchiveOption,
    camera: CameraOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    top: Annotated[int | None, typer.Option(min=1, metavar="N", help="Answers given at most.")] = None,
    face: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Which face of the photo, from the left, where it has several."),
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            min=1e-9, max=0.999, metavar="SHARE", help="Of people who were never there, the share that may get a match."
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Who is this, where and when were they seen? The answer may be: nobody in the archive.

    Example: streamproc search suspect.jpg --archive archive.db --camera yard --since 2026-03-01T08:00:00Z
    """
    with work():
        from storage import Archive
        from streamproc import config as settings_file

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            from pipelines.asking import Asker, answer_sentence
            from pipelines.gaps import asked_end, gap_lines
            from pipelines.identities.desk import called, said_of
            from streamproc.query import blindness

            asker = Asker.load(settings)
            asker.false_alarms = false_alarms or asker.false_alarms
            crop = asker.face(image, face)
            now = datetime.now(UTC)
            result = asker.ask(opened, crop, camera or (), since, until, top or settings.search.top, now)
            said = said_of(opened)
    if result.damaged:
        err.print(f"{result.damaged} faces were left out: their base layers are damaged.")
    if result.other_codec:
        err.print(f"{result.other_codec} faces were left out: another codec wrote them.")
    if json:
        emit(_document(result))
        return
    blind = blindness(result.gaps, since, asked_end(until, now))
    out.print(answer_sentence(result, blind), markup=False, soft_wrap=True)
    if result.matches:
        out.print(_table(result.matches, [called(match.record.identity_id, said) for match in result.matches]))
    for line in gap_lines(result.gaps, since, until, now):
        out.print(line, markup=False, soft_wrap=True)


def _document(result: "SearchResult") -> dict[str, object]:
    from pipelines.gaps import gap_documents

    return {
        "verdict": result.verdict,
        "searched": result.searched,
        "needed": result.needed,
        "milliseconds": result.milliseconds,
        "damaged": result.damaged,
        "other_codec": result.other_codec,
        "matches": [
            {
                "face_id": match.record.id,
                "track_id": match.record.track_id,
                "identity_id": match.record.identity_id,
                "camera": match.record.camera_id,
                "source": match.record.source,
                "time": match.record.time,
                "clock": match.record.clock,
                "box": match.record.box,
                "similarity": match.similarity,
                "probability": match.probability,
            }
            for match in result.matches
        ],
        "gaps": gap_documents(result.gaps),
    }


def _table(matches: tuple["Match", ...], who: list[str]) -> Table:
    table = Table()
    table.add_column("prob.", justify="right", no_wrap=True)
    table.add_column("camera", overflow="fold")
    table.add_column("time", no_wrap=True)
    table.add_column("who", overflow="fold")
    table.add_column("face", no_wrap=True)
    for match, name in zip(matches, who, strict=True):
        record = match.record
        table.add_row(f"{match.probability:.1%}", record.camera_id, moment(record.time), name, record.id)
    return table


def reconstruct(
    face_ids: Annotated[list[str], typer.Argument(metavar="FACE_ID", help="Faces, as search names them.")],
    archive: ArchiveOption,
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the pictures.")],
    layer: Annotated[Layer, typer.Option(help="From the base layer alone, or from all that is held.")] = Layer.FULL,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Decode archived faces into pictures.

    Example: streamproc reconstruct 5f0c9b1de2a84417-0001-0 --archive archive.db --layer full --out faces
    """
    with work():
        from storage import Archive
        from streamproc import config as settings_file

        settings = settings_file.load(config)
        with Archive.open(archive) as opened:
            opened.faces(face_ids)  # an unknown one is named before the models are loaded
            from pipelines.pictures import write_pictures

            pictures = write_pictures(opened, settings, face_ids, layer, directory)
    if json:
        emit({"pictures": pictures})
        return
    for picture in pictures:
        out.print(f"{picture.path} ({picture.layer}, from {picture.bytes} bytes)", soft_wrap=True)
