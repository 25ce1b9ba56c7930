"""The page of `evaluate bias`, and its table for the model card."""

from pathlib import Path

from streamproc.evaluation.bias_rows import RAW, SEARCHED, BiasResult, StrangersRow
from streamproc.evaluation.page import Section, Table, number, percent, write_page
from streamproc.evaluation.plots import Marks, Panel, dots

FEATURES = (RAW, SEARCHED)


def write_bias_page(result: BiasResult) -> Path:
    """`result.page`, written with its plots beside it."""
    folder = result.page.parent
    lead = f"{result.chips:,} chips of UTKFace in {len(result.pictures)} groups; codec {result.codec_id}."
    sections = [
        Section(
            "Strangers taken for one person",
            (
                "Every pair within a group is counted as a pair of strangers; no identities are labelled, so a person "
                "who is in a group twice counts as a false match. Nothing is said of how often one person is missed.",
                f'The verdict "match" begins at a similarity of {result.match_of_1_from:.3f} where one face is '
                f"compared and of {result.match_of_1000_from:.3f} where 1,000 are. The common thresholds take 1 pair "
                f"in 100 over all groups together, {result.raw_common_100_from:.3f} before coding and "
                f"{result.searched_common_100_from:.3f} as searched, or 1 in 1,000, "
                f"{result.raw_common_1000_from:.3f} and {result.searched_common_1000_from:.3f}. As searched: one of a "
                "pair before coding, the other decoded. Bars: one standard error, leaving out each chip in turn.",
                "False alarms: chips that are taken for another one in an archive of all others of their group, at the "
                "rate that is stated for all; first where strangers are taken for those of a mixed crowd, then as "
                "search answers, which tells from the archive how alike they are.",
                "UTKFace shows some people several times, now and then in the same photo: they are most of the pairs "
                "above the higher threshold. At the lower one they weigh little.",
                "Chips are tight: what their crops lack is their mean colour.",
            ),
            ((_strangers_plot(folder / "strangers.png", result), "Similarity and false matches within each group"),),
            (_strangers_table(result),),
        ),
        Section(
            "Pictures",
            (
                "Bytes are those of the default rate point; the chips' border is repeated to fill the crop, which has "
                "a price of its own: compare groups with each other, not with whole crops. PSNR is taken over the part "
                "that the chip fills. A face is found when one is detected within half an eyes' distance of its place, "
                "in the chip with its mean colour around it, and in the same shrunk to a face of 50 pixels.",
            ),
            ((_pictures_plot(folder / "pictures.png", result), "Bytes and PSNR of each group's pictures"),),
            (_pictures_table(result),),
        ),
    ]
    return write_page(result.page, "What the codec does to groups", lead, sections)


def write_bias_table(result: BiasResult) -> Path:
    """`result.model_card_table`: what was measured and from where on pairs match, then both tables as one, in Markdown
    as the model card has it."""
    head = (
        "group",
        "mean similarity",
        "1 in 100 reaches",
        "false alarms, group alone",
        "1 in 100 of all",
        "1 in 1,000 of all",
        "base",
        "both layers",
        "face found, at 50 px",
    )
    lines = [head, ("---", *["---:"] * (len(head) - 1))]
    for row in result.pictures:
        raw, searched = (_of(result, row.group, feature) for feature in FEATURES)
        lines.append(
            (
                row.group,
                f"{raw.mean:.3f} / {searched.mean:.3f}",
                f"{raw.p99:.2f} / {searched.p99:.2f}",
                f"{percent(searched.mixed_alarms, 0)} / {percent(searched.alarms, 0)} %",
                f"{percent(raw.common_100)} / {percent(searched.common_100)} +- {percent(searched.common_100_error)} %",
                f"{percent(raw.common_1000)} / {percent(searched.common_1000)} %",
                f"{row.base_bytes:.1f} bytes, {row.base_psnr:.1f} dB",
                f"{row.both_bytes:,.0f} bytes, {row.both_psnr:.1f} dB",
                f"{percent(row.found, 0)} %, {percent(row.found_small, 0)} %",
            )
        )
    searched_rows = [row for row in result.strangers if row.feature == SEARCHED]
    alike = sum(round(row.match_of_1000 * row.pairs) for row in searched_rows)
    lead = (
        f"codec_id `{result.codec_id}`, {result.chips:,} chips, {sum(row.pairs for row in searched_rows):,} pairs. "
        f'"Match" from {result.match_of_1_from:.3f} where 1 face is compared, from {result.match_of_1000_from:.3f} '
        f"where 1,000 are ({alike} pairs). Two figures: before coding / as searched, one of a pair decoded; "
        "of false alarms, all as searched: strangers taken for those of a mixed crowd / as search answers.\n\n"
    )
    text = lead + "".join(f"| {' | '.join(line)} |\n" for line in lines)
    result.model_card_table.write_text(text, encoding="utf-8")
    return result.model_card_table


def _of(result: BiasResult, group: str, feature: str) -> StrangersRow:
    return next(row for row in result.strangers if (row.group, row.feature) == (group, feature))


def _strangers_plot(path: Path, result: BiasResult) -> Path:
    rows = {feature: [row for row in result.strangers if row.feature == feature] for feature in FEATURES}
    one_in_100 = [Marks(name, tuple(row.p99 for row in rows[name])) for name in FEATURES]
    alarms = [
        Marks("as in a mixed crowd", tuple(100 * row.mixed_alarms for row in rows[SEARCHED])),
        Marks("as search answers", tuple(100 * row.alarms for row in rows[SEARCHED])),
    ]
    common = [
        Marks(
            name,
            tuple(100 * row.common_100 for row in rows[name]),
            tuple(100 * row.common_100_error for row in rows[name]),
        )
        for name in FEATURES
    ]
    panels = [
        Panel("similarity that 1 pair in 100 reaches", tuple(one_in_100)),
        Panel("% of chips with a false alarm, group alone", tuple(alarms)),
        Panel("% of pairs above 1 in 100 of all groups", tuple(common)),
    ]
    return dots(path, [row.group for row in rows[RAW]], panels)


def _pictures_plot(path: Path, result: BiasResult) -> Path:
    rows = result.pictures
    panels = [
        Panel("bytes, base layer", (Marks("base layer", tuple(row.base_bytes for row in rows)),)),
        Panel("bytes, both layers", (Marks("both layers", tuple(row.both_bytes for row in rows)),)),
        Panel("PSNR, dB, base layer", (Marks("base layer", tuple(row.base_psnr for row in rows)),)),
        Panel("PSNR, dB, both layers", (Marks("both layers", tuple(row.both_psnr for row in rows)),)),
    ]
    return dots(path, [row.group for row in rows], panels)


def _strangers_table(result: BiasResult) -> Table:
    matches = ("match of 1, %", "match of 1,000, %", "alarms as in a mixed crowd, %", "alarms, %")
    return Table(
        ("group", "feature", "pairs", "mean", "1 in 100", *matches, "1 in 100 of all, %", "+-", "1 in 1,000, %", "+-"),
        tuple(
            (
                row.group,
                row.feature,
                number(row.pairs, 0),
                number(row.mean, 3),
                number(row.p99, 3),
                percent(row.match_of_1, 3),
                percent(row.match_of_1000, 3),
                percent(row.mixed_alarms, 1),
                percent(row.alarms, 1),
                percent(row.common_100, 2),
                percent(row.common_100_error, 2),
                percent(row.common_1000, 3),
                percent(row.common_1000_error, 3),
            )
            for row in result.strangers
        ),
    )


def _pictures_table(result: BiasResult) -> Table:
    return Table(
        ("group", "chips", "base bytes", "base PSNR, dB", "both, bytes", "both PSNR, dB", "found, %", "at 50 px, %"),
        tuple(
            (
                row.group,
                number(row.chips, 0),
                number(row.base_bytes, 1),
                number(row.base_psnr),
                number(row.both_bytes, 0),
                number(row.both_psnr),
                percent(row.found, 1),
                percent(row.found_small, 1),
            )
            for row in result.pictures
        ),
    )
