"""All that hpsearch keeps for itself, under HPSEARCH_HOME, and the only code that deletes folders.

    data/           data sets that were downloaded or read
    fingerprints/   of files that were read
    stages/         what the trials of studies share: numbered texts, language models
    checkpoints/    NAME-UID/NUMBER of trials; language models in training
    trial-models/   NAME-UID/NUMBER: models that trials left
    models/         language models by name
    named/          paths that the user has named himself: see `note_named`
    devices/        how fast this machine's devices trained a study's trials
    set-aside/      values that `doctor --mend` took out of stores

No other module spells the name of a folder. Names and ids in paths come from stores, archives and
models, that is from anybody. Each path is made by
`below`, which refuses what is no plain name and what lies elsewhere once links are followed; each
folder is deleted by `remove`, which looks again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from pathlib import Path

from hpsearch.core.words import short_reason
from hpsearch.errors import HpsearchError, InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
DATA_SETS = "data"
FINGERPRINTS = "fingerprints"
STAGES = "stages"
CHECKPOINTS = "checkpoints"
TRIAL_MODELS = "trial-models"
LANGUAGE_MODELS = "models"
NAMED_PATHS = "named"
DEVICE_SPEEDS = "devices"
SET_ASIDE = "set-aside"
MAX_NAME_CHARACTERS = 200
"""Characters of a name; file systems take 255, and some is put behind."""
RESERVED = {"CON", "PRN", "AUX", "NUL"} | {f"{one}{n}" for one in ("COM", "LPT") for n in range(10)}
"""What is no file on Windows, whatever its ending."""


def home() -> Path:
    """The folder of all caches: HPSEARCH_HOME, or the platform's place for caches."""
    if chosen := os.environ.get("HPSEARCH_HOME"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("hpsearch"))


def is_plain(name: str) -> bool:
    """Whether it can name a file on every system: letters, digits, dots, dashes, underscores."""
    return (
        re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?", name) is not None
        and len(name) <= MAX_NAME_CHARACTERS
        and name.partition(".")[0].upper() not in RESERVED
    )


def below(*names: str) -> Path:
    """The path of these names under the home, whether or not it is there.

    Raises InputError for a name that is not plain, and where a link leads out of the home (that
    the home itself is a link is fine); HpsearchError where another user lets nobody look.
    """
    for name in names:
        if not is_plain(name):
            raise InputError(f"{name[:200]!r} cannot be the name of a file in {home()}.")
    path = home().joinpath(*names)
    if names and not is_inside(path):
        raise InputError(
            f"{path} leads out of {home()} by a link: remove that link, or set HPSEARCH_HOME to a "
            "folder on the disk that you want."
        )
    try:
        path.stat()
    except PermissionError as error:
        raise HpsearchError(
            f"The cache folder {home()} cannot be read ({os.strerror(errno.EACCES)}): set "
            "HPSEARCH_HOME to a folder that can."
        ) from error
    except OSError:  # it is not there yet, or nothing that it could be in
        pass
    return path


def is_writable(folder: Path) -> bool:
    """Whether files can be put into the folder, which is made where it is missing.

    Raises OSError where it cannot be made for another reason than that nobody lets us.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in READ_ONLY:
            return False
        raise
    return os.access(folder, os.W_OK | os.X_OK)


def is_inside(path: Path, folder: str = "") -> bool:
    """Whether the path, all links followed, lies in the home (or in its `folder`)."""
    try:
        root = os.path.realpath(home() / folder)
        place = os.path.realpath(path)
    except (OSError, ValueError):  # a null byte, a circle of links
        return False
    return place != root and Path(place).is_relative_to(root)


def new_uid() -> str:
    """An id that tells a study's folders from those of one of the same name in another store."""
    return uuid.uuid4().hex[:12]


def is_uid(text: object) -> bool:
    """Whether it has the form of `new_uid`."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{12}", text) is not None


def study_folder(kind: str, study: str, uid: str) -> Path:
    """The folder of a study's trials under CHECKPOINTS or TRIAL_MODELS.

    A name that is not plain is hashed. Raises InputError for an id that hpsearch did not make.
    """
    if not is_uid(uid):
        raise InputError(
            f"The study {study!r} has the id {str(uid)[:100]!r} (hps_uid), which hpsearch did not "
            "make: `hpsearch run` gives it a new one."
        )
    name = study if is_plain(study) else hashlib.sha256(study.encode(errors="replace")).hexdigest()
    return below(kind, f"{name}-{uid}")


def trial_folder(kind: str, study: str, uid: str, number: int) -> Path:
    """The folder of one trial in its study's."""
    return below(kind, study_folder(kind, study, uid).name, str(int(number)))


def remove(path: Path, *, within: Path | None = None) -> None:
    """Delete a file, a link, or a folder with all that is in it; none of that need be there.

    It has to lie below `within` (default: the home) once the links above it are followed, else
    InputError is raised, also where somebody changes those links meanwhile. A link at its own place
    is deleted, not followed, and neither are those in the folder, even where somebody puts one
    there meanwhile. What cannot be deleted stays.
    """
    root = os.path.realpath(within or home())
    try:
        parent = os.path.realpath(path.parent)
    except (OSError, ValueError):  # what was a link when it was looked at is none when it is read
        parent = os.path.sep
    if path.name in ("", ".", "..") or not Path(parent).is_relative_to(root):
        raise InputError(f"{path} is not below {root}, so it is not deleted.")
    with contextlib.suppress(OSError):
        if not shutil.rmtree.avoids_symlink_attacks:  # Windows
            shutil.rmtree(Path(parent) / path.name, ignore_errors=True)
            return
        folder = _opened(root, Path(parent).relative_to(root).parts)
        try:
            kind = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                shutil.rmtree(path.name, ignore_errors=True, dir_fd=folder)
            else:
                os.unlink(path.name, dir_fd=folder)
        finally:
            os.close(folder)


def _opened(root: str, names: tuple[str, ...]) -> int:
    """The folder of these names below `root`, reached without following a link: a descriptor."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    folder = os.open(root, flags)
    for name in names:
        above = folder
        try:
            folder = os.open(name, flags | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return folder


def note_named(path: Path) -> None:
    """Remember that the user himself has named this path, so that a store may name it, too."""
    with contextlib.suppress(OSError, InputError):
        note = _note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(path.absolute()), encoding="utf-8")


def was_named(path: Path) -> bool:
    """Whether the user himself has named this path before, on a machine that shares the home."""
    try:
        return _note(path).read_text("utf-8") == str(path.absolute())
    except (OSError, ValueError, InputError):
        return False


def _note(path: Path) -> Path:
    text = str(path.absolute())
    return below(NAMED_PATHS, hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:40])


def ensure_home(*names: str) -> Path:
    """`home()`, or a folder below it, made where missing; one sentence where that cannot be."""
    folder = below(*names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise home_error(folder, error) from error
    return folder


def home_error(folder: Path, error: OSError) -> HpsearchError:
    """What to tell the user when the cache folder cannot be written to."""
    if error.errno in DISK_FULL:
        return HpsearchError(
            f"The disk that holds the cache folder {folder} is full: free some space, or set"
            " HPSEARCH_HOME to a folder on another disk."
        )
    return HpsearchError(
        f"The cache folder {folder} cannot be written to ({short_reason(error)}):"
        " set HPSEARCH_HOME to a folder that can."
    )
