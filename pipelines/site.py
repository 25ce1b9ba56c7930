"""A site's configuration: which cameras, with their secrets put in, and when they record."""

import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import tzlocal
import yaml

from pipelines.messages import CameraJob
from streamproc import config
from streamproc.config import Settings
from streamproc.errors import ConfigError
from streamproc.media.hours import named_zone, parse_hours
from streamproc.media.naming import redact

CHECK_CAMERA = "known-face check"
"""The hidden camera that the service looks at a known face through."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the service is told: all settings, and the cameras out of them."""

    settings: Settings
    jobs: Sequence[CameraJob]


def read_site(path: Path) -> Site:
    """The site that a configuration describes; raises ConfigError."""
    settings = config.load(path)
    return Site(settings, camera_jobs(settings, path.parent))


def camera_jobs(settings: Settings, folder: Path) -> Sequence[CameraJob]:
    """The cameras of the settings; a relative file of secrets lies in `folder`, the configuration's own.

    Raises ConfigError for two of one name, for hours or a time zone that cannot be read, and for a ${NAME} that
    neither the environment nor the file has.
    """
    zone = local_zone(settings)
    values = os.environ | _secrets(settings, folder)
    jobs = [
        CameraJob(
            camera.name,
            uri,
            redact(uri),
            camera.transport,
            camera.roi,
            camera.masks,
            parse_hours(camera.hours, zone, f"camera '{camera.name}'"),
        )
        for camera in settings.cameras
        for uri in [_filled(camera.name, camera.uri, values)]
    ]
    names = [job.camera for job in jobs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"Two cameras are called '{min(twice)}': give each a name of its own.")
    if CHECK_CAMERA in names:
        raise ConfigError(f"No camera may be called '{CHECK_CAMERA}': the service's own is.")
    return jobs


def local_zone(settings: Settings) -> ZoneInfo:
    """The time zone that hours are given in: the settings', or the machine's."""
    if settings.service.timezone is not None:
        return named_zone(settings.service.timezone)
    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise ConfigError("This machine does not say in which time zone it is: set service.timezone.") from error


def _filled(camera: str, uri: str, values: Mapping[str, str]) -> str:
    try:
        return string.Template(uri).substitute(values)
    except KeyError as error:
        raise ConfigError(
            f"The address of camera '{camera}' speaks of ${{{error.args[0]}}}, which neither the environment nor the "
            "file of secrets has: set it, or write $$ for a dollar sign."
        ) from None
    except ValueError:
        raise ConfigError(
            f"The address of camera '{camera}' has a $ without a ${{NAME}}: write $$ for a dollar."
        ) from None


def _secrets(settings: Settings, folder: Path) -> dict[str, str]:
    if settings.service.secrets is None:
        return {}
    path = folder / settings.service.secrets
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The file of secrets {path} cannot be read: {error.__class__.__name__}.") from error
    except yaml.YAMLError:
        # What the parser would repeat of the file is what nobody may read.
        raise ConfigError(f"The file of secrets {path} is no YAML: write a line NAME: value for each.") from None
    if not isinstance(content, dict) or not all(isinstance(value, str | int) for value in content.values()):
        raise ConfigError(f"The file of secrets {path} holds more than names and values: write NAME: value lines.")
    return {str(name): str(value) for name, value in content.items()}
