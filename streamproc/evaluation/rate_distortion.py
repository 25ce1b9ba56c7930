"""`evaluate rate-distortion`: the picture against its bits (the paper's Figs. 9 to 12), and who an independent judge
takes the decoded faces for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from streamproc.codec.bitstream import SHARES
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.ms_ssim import ms_ssim
from streamproc.codec.picture_files import Hevc, Jpeg, Jpeg2000, PictureCoder
from streamproc.codec.profiles import stated_codec
from streamproc.evaluation.distortion_gains import deltas_of, gains_of
from streamproc.evaluation.distortion_page import write_distortion_page
from streamproc.evaluation.distortion_rows import (
    ALONE,
    BASE,
    OURS,
    OVER_BASE,
    DeltaRow,
    DistortionRow,
    GainRow,
    JudgeRow,
)
from streamproc.evaluation.judging import Hearing
from streamproc.evaluation.kept_rows import KeptRows, write_csv
from streamproc.evaluation.lfw_set import LfwPairs, LfwSet, sampled
from streamproc.evaluation.picture_methods import (
    BasePictures,
    Conventional,
    HyperpriorAlone,
    Ours,
    OverBase,
    PictureMethod,
    PrincipalComponents,
)
from streamproc.evaluation.pictures import psnr
from streamproc.training.alone import alone_path
from streamproc.training.data import load_faces
from streamproc.training.loop import Progress
from streamproc.types import CROP_SIZE, Image

NAME = "rate-distortion"
PICTURES = 150
CONVENTIONAL: dict[str, tuple[PictureCoder, ...]] = {
    "JPEG": tuple(Jpeg(quality) for quality in (3, 5, 7, 10, 13, 20, 30, 45)),
    "JPEG 2000": tuple(Jpeg2000(level) for level in (24, 27, 30, 33, 34.5, 36, 37, 38)),
    "HEVC intra": tuple(Hevc(qp) for qp in (50, 46, 43, 40, 38, 36, 33, 30)),
}
"""Settings that span our rate points; those of the codecs as our enhancement layer are among them."""
COMPONENT_SIZES = (32, 64)


@dataclass(frozen=True, slots=True)
class RateDistortionResult:
    """All rows; the page, the tables as CSV; `missing` names what could not be compared, and why."""

    rows: tuple[DistortionRow, ...]
    deltas: tuple[DeltaRow, ...]
    gains: tuple[GainRow, ...]
    judge: tuple[JudgeRow, ...]
    images: int
    codec_id: str
    page: Path
    table: Path
    missing: str


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row to come: where it is kept, under which name, and its measurement."""

    kept: KeptRows
    name: str
    measure: Callable[[], DistortionRow]


@dataclass(frozen=True)
class Distortion:
    """One measurement: `pairs` are those that the judge sees; `work` holds the training faces and, where it was
    trained, the hyperprior alone; finished rows are kept in `out`."""

    images: LfwSet
    pairs: LfwPairs
    codec: FaceCodec
    work: Path
    out: Path
    count: int
    progress: Progress

    def run(self) -> RateDistortionResult:
        """All of it; raises SourceNotFound at once when there are no training faces."""
        load_faces(self.work / "faces", 1)
        self.images.prepare([*self._places, *range(len(self.pairs.names))], self.progress)
        key = {"images": self.images.key}
        ours = {"codec": self.codec.encoding_id}
        kept = KeptRows(self.out, key | {"pictures": self.count})
        rows = self._distortion(KeptRows(self.out / "ours", key | ours | {"pictures": self.count}), kept)
        deltas, gains = tuple(deltas_of(rows)), tuple(gains_of(rows))
        judge = self._judge(KeptRows(self.out / "judge", key | ours | {"judged": len(self.pairs.same)}))
        missing = "" if self._alone else f"{ALONE}: run `train residual --alone` to compare with it"
        page = write_distortion_page(self.out, rows, deltas, gains, judge, self.count, self.codec.codec_id, missing)
        table = write_csv(self.out / "rate-distortion.csv", rows, DistortionRow)
        write_csv(self.out / "deltas.csv", deltas, DeltaRow)
        gain_rows = tuple(gain.row for gain in gains)
        write_csv(self.out / "gains.csv", gain_rows, GainRow)
        write_csv(self.out / "judge.csv", judge, JudgeRow)
        count = len(self._places)
        return RateDistortionResult(rows, deltas, gain_rows, judge, count, self.codec.codec_id, page, table, missing)

    @cached_property
    def _alone(self) -> str:
        """The id of the hyperprior alone, nothing where it was not trained."""
        path = alone_path(self.work)
        return stated_codec(str(path)).codec_id if path.exists() else ""

    @property
    def _places(self) -> list[int]:
        return sampled(self.images.names, self.count)

    @cached_property
    def _crops(self) -> Image:
        return self.images.crops(self._places)

    def _distortion(self, own: KeptRows, kept: KeptRows) -> tuple[DistortionRow, ...]:
        """`own` are the rows that our codec's weights decide on, `kept` those that do not hang on them."""
        base = own.row(BASE, DistortionRow, partial(self._row, BASE, "", Ours(self.codec, None)))
        rows = [base]
        planned = list(self._planned(own, kept, base.bpp * CROP_SIZE**2))
        for done, row in enumerate(planned):
            rows.append(row.kept.row(row.name, DistortionRow, row.measure))
            self.progress("methods", done + 1, len(planned))
        return tuple(rows)

    def _planned(self, own: KeptRows, kept: KeptRows, bits: float) -> Iterator[PlannedRow]:
        """All rows but the base layer's, which takes `bits`."""
        for quality in self.codec.qualities:
            yield self._plan(own, OURS, f"rate point {quality}", Ours(self.codec, quality))
        if self._alone:
            for alone in HyperpriorAlone.load(alone_path(self.work)):
                yield self._plan(kept, ALONE, f"rate point {alone.quality}", alone, self._alone)
        for name, coders in CONVENTIONAL.items():
            for coder in coders:
                yield self._plan(kept, name, coder.setting, Conventional(coder))
        base = BasePictures(self.codec)
        for name, coders in CONVENTIONAL.items():
            for coder in coders:
                rule = f"shares {[tuple(share) for share in SHARES[coder.codec]]}"
                yield self._plan(own, f"{name}{OVER_BASE}", coder.setting, OverBase(coder, base), rule)
        for size in COMPONENT_SIZES:
            name = f"principal components, {size}x{size}"
            yield PlannedRow(kept, f"{name} {bits:.2f} bits", partial(self._components, name, size, bits))

    def _plan(self, kept: KeptRows, name: str, setting: str, method: PictureMethod, also: str = "") -> PlannedRow:
        """`also`: what else the figures hang on, as a part of the row's name."""
        row = " ".join(filter(None, (name, also, setting)))
        return PlannedRow(kept, row, partial(self._row, name, setting, method))

    def _components(self, name: str, size: int, bits: float) -> DistortionRow:
        training = load_faces(self.work / "faces")
        crops = training.crops[~training.held_out()]
        return self._row(name, f"{bits:.1f} bits", PrincipalComponents(crops, size, bits))

    def _row(self, name: str, setting: str, method: PictureMethod) -> DistortionRow:
        coded = method.code(self._crops)
        area = CROP_SIZE**2
        return DistortionRow(
            name,
            setting,
            float(coded.bytes.mean() * 8 / area),
            float(coded.headers.mean() * 8 / area),
            float(psnr(self._crops, coded.pictures).mean()),
            float(ms_ssim(self._crops, coded.pictures).mean()),
        )

    def _judge(self, kept: KeptRows) -> tuple[JudgeRow, ...]:
        looks: list[tuple[str, PictureMethod | None]] = [("originals", None), (BASE, Ours(self.codec, None))]
        hearing = Hearing(self.images, self.pairs, self.progress)
        looks += [(f"{OURS}, rate point {quality}", Ours(self.codec, quality)) for quality in self.codec.qualities]
        rows = []
        for name, method in looks:
            rows.append(kept.row(name, JudgeRow, partial(hearing.row, name, method)))
        return tuple(rows)
