"""The page of `evaluate rate-distortion`."""

from collections.abc import Sequence
from pathlib import Path

from streamproc.codec.ms_ssim import decibels
from streamproc.evaluation.distortion_gains import MEASURES, Gain, shown
from streamproc.evaluation.distortion_rows import ALONE, BASE, OURS, OVER_BASE, DeltaRow, DistortionRow, JudgeRow
from streamproc.evaluation.page import Section, Table, number, percent, write_page
from streamproc.evaluation.plots import Curve, plot

AXES = {"psnr": "PSNR, dB", "ms_ssim": "MS-SSIM, dB"}
QUOTED = (("JPEG", -10.25), ("JPEG 2000", -10.14), ("HEVC intra", -8.42), (ALONE, -4.57))
"""The paper's bit rate savings, per cent: of the conventional codecs over its base against themselves alone."""


def write_distortion_page(
    out: Path,
    rows: Sequence[DistortionRow],
    deltas: Sequence[DeltaRow],
    gains: Sequence[Gain],
    judge: Sequence[JudgeRow],
    count: int,
    codec_id: str,
    missing: str,
) -> Path:
    """The page's path."""
    sections = [
        Section("Ours and all others (Fig. 9)", _notes(missing), _figures(out, rows, "all", False), (_table(rows),)),
        Section(
            "Conventional codecs alone and over our base (Figs. 10 to 12)",
            (
                "As the enhancement layer they code the residual of our base picture, or of the share of it that "
                "serves a face best, stretched to its range (Eq. 5).",
            ),
            _figures(out, rows, "conventional", True),
        ),
        _delta_section(deltas),
        _gain_section(out, gains),
        _judge_section(judge),
    ]
    lead = f"{count} pictures of LFW, chosen by the hash of their names; codec {codec_id}."
    return write_page(out / "index.html", "Rate and distortion", lead, sections)


def _notes(missing: str) -> tuple[str, ...]:
    notes = (
        "Rates are counted from payload bytes: of ours, base and enhancement with its header. The principal "
        "components are quantised so that these pictures take the base layer's bits. PSNR and MS-SSIM are means over "
        "the pictures; MS-SSIM is drawn as -10 log10(1 - x).",
        "LFW here is the deep-funneled set: its faces are enlarged about twice to 256x256, soft, and easy to code.",
    )
    return (*notes, f"Not compared: {missing}.") if missing else notes


def _figures(out: Path, rows: Sequence[DistortionRow], name: str, over_base: bool) -> tuple[tuple[Path, str], ...]:
    """A plot a measure: of all methods but those over our base, or of the conventional ones with and without."""
    conventional = {row.method.removesuffix(OVER_BASE) for row in rows if row.method.endswith(OVER_BASE)}
    chosen = [
        row
        for row in rows
        if (row.method.removesuffix(OVER_BASE) in conventional if over_base else not row.method.endswith(OVER_BASE))
    ]
    figures = []
    for measure in MEASURES:
        curves = []
        for method in dict.fromkeys(row.method for row in chosen):
            points = sorted((row.bpp, shown(row, measure)) for row in chosen if row.method == method)
            x, y = zip(*points, strict=True)
            curves.append(Curve(method, x, y, method.endswith(OVER_BASE), method in (OURS, BASE)))
        path = plot(out / f"{name}-{measure}.png", curves, "bits a pixel", AXES[measure])
        figures.append((path, f"{AXES[measure]} against bits a pixel, headers counted"))
    return tuple(figures)


def _table(rows: Sequence[DistortionRow]) -> Table:
    return Table(
        ("method", "setting", "bytes", "bits a pixel", "of that header", "PSNR, dB", "MS-SSIM", "MS-SSIM, dB"),
        tuple(
            (
                row.method,
                row.setting,
                number(row.bpp * 8192, 0),
                number(row.bpp, 4),
                number(row.header_bpp, 4),
                number(row.psnr),
                number(row.ms_ssim, 4),
                number(decibels(row.ms_ssim)),
            )
            for row in rows
        ),
    )


def _delta_section(deltas: Sequence[DeltaRow]) -> Section:
    measured = Table(
        ("rate at equal quality", "by PSNR, %", "by MS-SSIM, %", "by PSNR, no headers", "by MS-SSIM, no headers"),
        tuple(
            (
                row.against,
                number(row.psnr, 1),
                number(row.ms_ssim, 1),
                number(row.psnr_without_headers, 1),
                number(row.ms_ssim_without_headers, 1),
            )
            for row in deltas
        ),
    )
    quoted = Table(
        ("the paper's (quoted)", "per cent"), tuple((f"against {name}", number(value)) for name, value in QUOTED)
    )
    text = (
        "Bjontegaard's delta (PCHIP, over the quality that both curves reach): negative means that the first needs "
        "fewer bits. A dash: the curves have no quality in common.",
        "A conventional file's header is what is equal for all crops: JPEG up to its Huffman tables, JPEG 2000 up to "
        "the start of data, HEVC's parameter sets. As our enhancement layer these codecs are archived without it.",
    )
    return Section("Bjontegaard deltas", text, (), (measured, quoted))


def _gain_section(out: Path, gains: Sequence[Gain]) -> Section:
    figures = []
    for measure in MEASURES:
        curves = [
            Curve(gain.against, gain.curve.quality, gain.curve.per_cent, OVER_BASE in gain.against)
            for gain in gains
            if gain.measure == measure
        ]
        if curves:
            path = plot(out / f"gain-{measure}.png", curves, AXES[measure], "rate beyond the other's, %", level=0)
            figures.append((path, f"Rate at each {AXES[measure].partition(',')[0]}, headers counted"))
    rows = [gain.row for gain in gains]
    table = Table(
        ("rate at equal quality", "by", "lowest both reach, dB", "there, %", "highest, dB", "there, %", "ends at, dB"),
        tuple(
            (
                row.against,
                AXES[row.measure].partition(",")[0],
                number(row.lowest),
                number(row.at_lowest, 1),
                number(row.highest),
                number(row.at_highest, 1),
                "beyond" if row.ends is None else number(row.ends),
            )
            for row in rows
        ),
    )
    text = (
        "What the deltas are the mean of: rate at each quality that both reach. Below zero the first needs fewer bits; "
        "its gain ends where the curve comes up to zero, or beyond the rates measured.",
    )
    return Section("Where the gain ends", text, tuple(figures), (table,))


def _judge_section(judge: Sequence[JudgeRow]) -> Section:
    table = Table(
        ("pictures", "bits a pixel", "accuracy, %", "TAR at FAR 1e-3, %", "cosine to the original"),
        tuple(
            (
                row.pictures,
                number(row.bpp, 4),
                percent(row.accuracy),
                percent(row.tar_at_far_1e3, 1),
                number(row.cosine, 3),
            )
            for row in judge
        ),
    )
    text = ("SFace, which neither trained nor chose anything here, compares decoded pictures with decoded pictures.",)
    return Section("Whom an independent judge sees", text, (), (table,))
