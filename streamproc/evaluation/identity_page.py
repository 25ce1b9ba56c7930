"""The page of `evaluate identities`."""

from pathlib import Path

from streamproc.evaluation.identity_rows import IdentityResult
from streamproc.evaluation.page import Section, Table, number, percent, write_page
from streamproc.evaluation.plots import Curve, plot


def write_identity_page(result: IdentityResult) -> Path:
    """`result.page`, written with its plot beside it."""
    lead = f"{result.people} people, {result.passes} passes before four cameras on two days; codec {result.codec_id}."
    sections = [
        Section(
            "Anonymous identities",
            (
                f"{result.tracks} tracks show one of the people; B-cubed is taken over them. Together: pairs of faces "
                "of one frame in one identity, over all tracks.",
            ),
            (),
            (_gathering_table(result),),
        ),
        Section(
            "Was this person here?",
            (
                "Each person is asked about by the photo that was not shown, of the day on which the other one was; "
                "and again with that person's tracks left out of the archive, as somebody who was never there.",
            ),
            (),
            (_verdicts_table(result),),
        ),
        Section(
            "What a probability says",
            (
                "Of all best answers with a probability in a bin, the share that is right. Expected calibration error "
                f"{result.calibration_error:.4f}.",
            ),
            ((_curve(result.page.parent / "calibration.png", result), "Share that is right against what was said"),),
            (_bins_table(result),),
        ),
    ]
    return write_page(result.page, "Identities and probabilities", lead, sections)


def _gathering_table(result: IdentityResult) -> Table:
    head = ("step", "identities", "precision, %", "recall, %", "B-cubed F1, %", "together")
    rows = [
        (row.step, str(row.identities), percent(row.precision), percent(row.recall), percent(row.f1), str(row.together))
        for row in result.gathering
    ]
    return Table(head, tuple(rows))


def _verdicts_table(result: IdentityResult) -> Table:
    head = ("cameras", "there", "missed", "taken for another", "never there", "false alarms")
    rows = [
        (row.cameras, *(str(n) for n in (row.there, row.missed, row.mistaken, row.never_there, row.false_alarms)))
        for row in result.verdicts
    ]
    return Table(head, tuple(rows))


def _bins_table(result: IdentityResult) -> Table:
    head = ("probability", "answers", "said, %", "right, %")
    rows = [
        (f"{one.low:.1f} to {one.high:.1f}", f"{one.answers:,}", number(100 * one.said), number(100 * one.right))
        for one in result.calibration
    ]
    return Table(head, tuple(rows))


def _curve(path: Path, result: IdentityResult) -> Path:
    said, right = (tuple(getattr(one, name) for one in result.calibration) for name in ("said", "right"))
    curves = [
        Curve("as it should be", (0.0, 1.0), (0.0, 1.0), dashed=True),
        Curve("best answers", said, right, heavy=True),
    ]
    return plot(path, curves, "probability", "share that is right", 0.0)
