"""The bundles that a service serves: found by name, checked, and swapped while requests go on."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inspection_tf import bundle, config, errors, files, runtime
from inspection_tf.service.drift import Drift
from inspection_tf.service.spec import ServiceSpec
from inspection_tf.service.tune_images import TuneImages

_LOG = logging.getLogger("inspection_tf")
_NOT_IN_NAMES = "/?#%\\"
_VERSION = 12  # letters of the manifest's SHA-256
_LONGEST = 65536  # bytes of a file that names a bundle


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the bundle of a model is found.

    Attributes:
        name: of the model; empty: that of the bundle's recipe.
        path: the bundle's folder, or a text file whose first line names it.
    """

    name: str
    path: Path

    @classmethod
    def of(cls, word: str) -> "Place":
        """Return what `NAME=PATH`, or a path, stands for."""
        name, equals, path = word.partition("=")
        if equals and name and not Path(word).exists():
            return cls(name, config.expanded(path))
        return cls("", config.expanded(word))

    def folder(self) -> Path:
        """Return the bundle's folder; a path in a file is relative to that file.

        Raises:
            errors.ConfigError: neither is there, or the file names none.
        """
        try:
            if not self.path.is_file():
                return self.path
            with self.path.open(encoding="utf-8") as file:
                line = file.readline(_LONGEST).strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise errors.ConfigError(
                f"{self.path}: a file that names a bundle must be readable text. Got {problem}. "
                "Write the bundle's folder into it."
            ) from problem
        if not line.isprintable() or not line:
            raise errors.ConfigError(
                f"{self.path}: a file that names a bundle must hold its folder. Got "
                f"{line[:80]!r}. Write the folder into it."
            )
        return self.path.parent / config.expanded(line)

    def trace(self) -> str:
        """Return what differs once another bundle lies here; empty where nothing is."""
        try:
            folder = self.folder()
            return f"{folder.resolve()} {files.sha256(folder / bundle.MANIFEST)}"
        except Exception:  # whatever a file may hold: nothing that is a bundle
            return ""


@dataclasses.dataclass(frozen=True, eq=False)
class Served:
    """A bundle that serves.

    Attributes:
        name: of the model.
        version: of its manifest; another threshold is another version.
        root: the bundle's folder.
        inspector: started, its golden samples checked.
        place: where it was found.
        chosen: its threshold, and the scores that it was chosen on; None: there are none.
        tune_images: the images of these scores, likewise.
        drift: its latest scores beside these.
    """

    name: str
    version: str
    root: Path
    inspector: runtime.Inspector
    place: Place
    chosen: bundle.ChosenThreshold | None = None
    tune_images: TuneImages | None = None
    drift: Drift = dataclasses.field(default_factory=Drift)


def start(place: Place, spec: ServiceSpec) -> Served:
    """Read and start a bundle, and run its golden samples.

    Raises:
        errors.BundleError: it is not as it was written, or its golden samples do not come out.
        errors.ConfigError: it has no such engine.
    """
    root = place.folder()
    inspector = runtime.Inspector.load(
        root, engine=spec.engine, threads=spec.threads, batch=spec.batch
    )
    name = place.name or inspector.manifest.provenance.recipe or inspector.manifest.task
    version = files.sha256(root / bundle.MANIFEST)[:_VERSION]
    scores = bundle.read_tune_scores(root, inspector.manifest)
    if scores is None:
        return Served(name, version, root, inspector, place)
    return Served(
        name,
        version,
        root,
        inspector,
        place,
        chosen=bundle.ChosenThreshold(root.absolute(), inspector.manifest.operating_point, scores),
        tune_images=TuneImages(root, inspector.manifest, scores, spec.data),
        drift=Drift(scores, inspector.manifest.operating_point),
    )


class Models:
    """The models of a service by name; each is swapped as a whole."""

    def __init__(self, words: Sequence[str], spec: ServiceSpec) -> None:
        """Start every bundle.

        Args:
            words: folders, files that name one, or `NAME=` either.
            spec: how they are started.

        Raises:
            errors.ConfigError: there is none, or two have one name.
            errors.BundleError: one cannot be used.
        """
        if not words:
            raise errors.ConfigError("serve needs at least one bundle. Got none. Name its folder.")
        self._spec = spec
        self._served: dict[str, Served] = {}
        self._swapping = threading.Lock()
        self._traces: dict[str, str] = {}
        for word in words:
            place = Place.of(word)
            trace = place.trace()
            served = start(place, spec)
            if set(served.name) & set(_NOT_IN_NAMES):
                raise errors.ConfigError(
                    f"The name of a model must have none of {' '.join(_NOT_IN_NAMES)}, which "
                    f"addresses use. Got {served.name!r}. Write NAME={word.rpartition('=')[2]}."
                )
            if served.name in self._served:
                raise errors.ConfigError(
                    f"Each model must have a name of its own. Got {served.name} twice. "
                    f"Write NAME={word}."
                )
            self._served[served.name] = served
            self._traces[served.name] = trace

    def all(self) -> Mapping[str, Served]:
        """Return what serves now, by name; a later swap does not change it."""
        return dict(self._served)

    def swap_changed(self, tell: Callable[[Served, bool], None], *, only_files: bool) -> None:
        """Start each bundle that is another one than before, and let it take over.

        One that cannot be used changes nothing, and is not tried again until it differs.

        Args:
            tell: called with what serves from now on, and whether it is new.
            only_files: look at models whose bundle a file names, not at folders.
        """
        with self._swapping:
            for name, before in self.all().items():
                place = before.place
                if only_files and not place.path.is_file():
                    continue
                trace = place.trace()
                if trace == self._traces[name]:
                    continue
                self._traces[name] = trace
                try:
                    found = start(dataclasses.replace(place, name=name), self._spec)
                except Exception as problem:  # whatever it is, the old one goes on
                    _LOG.error("%s stays at version %s: %s", name, before.version, problem)
                    tell(before, False)
                    continue
                self._served[name] = found
                _LOG.warning("%s: version %s serves from now on", name, found.version)
                tell(found, True)
