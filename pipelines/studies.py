"""What `evaluate` runs: the models loaded, the sets opened, a protocol called. Importing it loads torch."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.identities.study import IdentityStudy
from streamproc import config as settings_file
from streamproc.codec.face_codec import FaceCodec
from streamproc.evaluation import bias, examples, held_out, lfw, multi_task, rate_accuracy, rate_distortion
from streamproc.evaluation.bias_rows import BiasResult
from streamproc.evaluation.identity_rows import IdentityResult
from streamproc.evaluation.lfw_set import LfwPairs, LfwSet, read_pairs
from streamproc.evaluation.utkface import read_groups
from streamproc.faces.finder import FaceFinder
from streamproc.query.search import FALSE_ALARMS
from streamproc.training.loop import Progress


@dataclass(frozen=True, slots=True)
class Study:
    """One evaluation: `data` the folder of LFW, or of UTKFace for `bias` (`held-out` and `multi-task` read nothing
    there), `work` that of everything made on the way, `out` that of the page, `config` the settings' file, `limit` and
    `judged` as the command says."""

    data: Path
    work: Path
    out: Path
    config: Path | None
    limit: int | None
    judged: int

    def lfw(self, progress: Progress) -> lfw.LfwResult:
        """The figures of the codec alone, beside principal components where there are training faces."""
        return lfw.evaluate(self._images(), self._pairs(), self._codec(), self.work / "faces", progress)

    def rate_accuracy(self, progress: Progress) -> rate_accuracy.RateAccuracyResult:
        """The feature against its bits."""
        faces = self.work / "faces"
        return rate_accuracy.evaluate(self._images(), self._pairs(), self._codec(), faces, self.out, progress)

    def rate_distortion(self, progress: Progress) -> rate_distortion.RateDistortionResult:
        """The picture against its bits."""
        pairs, count = read_pairs(self.data, self.judged), self.limit or rate_distortion.PICTURES
        return rate_distortion.Distortion(
            self._images(), pairs, self._codec(), self.work, self.out, count, progress
        ).run()

    def examples(self, progress: Progress) -> examples.ExamplesResult:
        """Sheets of pictures."""
        count = self.limit or examples.PICTURES
        return examples.evaluate(self._images(), self._codec(), self.out, count, progress)

    def held_out(self, progress: Progress) -> held_out.HeldOutResult:
        """The base layer on people kept out of training."""
        return held_out.evaluate(self.work / "faces", self._codec(), self.limit or held_out.FACES, progress)

    def multi_task(self, progress: Progress) -> multi_task.TradeResult:
        """What the picture costs the feature of the profile "paper"."""
        return multi_task.evaluate(self.work / "faces", self.work / "paper", self.out, self.limit, progress)

    def bias(self, progress: Progress) -> BiasResult:
        """The codec by groups of people; `data` is UTKFace's folder."""
        groups = read_groups(self.data, self.limit)
        detect = settings_file.load(self.config).detect
        finder = FaceFinder.load(detect.device, detect.min_face, detect.yunet)
        return bias.evaluate(groups, self._codec(), finder, FALSE_ALARMS, self.work, self.out, progress)

    def identities(self, progress: Progress) -> IdentityResult:
        """Who is who in composed scenes; `data` is a folder of portraits."""
        settings = settings_file.load(self.config)
        return IdentityStudy(self.data, self.work / "identities", self.out, settings, self.limit, progress).run()

    def _pairs(self) -> LfwPairs:
        return read_pairs(self.data, self.limit)

    def _images(self) -> LfwSet:
        return LfwSet(self.data, self.work, settings_file.load(self.config).detect.device)

    def _codec(self) -> FaceCodec:
        encode = settings_file.load(self.config).encode
        return FaceCodec.load(encode.profile, encode.device)
