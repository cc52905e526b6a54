"""The data sets by name, and the one function that loads them."""

from __future__ import annotations

import glob
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bsqh_core.datasets.cifar import TITLE as CIFAR10_TITLE
from bsqh_core.datasets.cifar import load_cifar10
from bsqh_core.datasets.dataset import Dataset
from bsqh_core.datasets.digits import load_digits
from bsqh_core.datasets.medical import MEDMNIST, load_medmnist
from bsqh_core.datasets.mnist import load_mnist
from bsqh_core.datasets.npz import load_npz
from bsqh_core.datasets.phantoms import TITLE as PHANTOMS_TITLE
from bsqh_core.datasets.phantoms import load_phantoms
from bsqh_core.datasets.points import load_spirals, load_two_moons
from bsqh_core.datasets.profiles import TITLE as PROFILES_TITLE
from bsqh_core.datasets.profiles import load_profiles
from bsqh_core.datasets.svhn import TITLE as SVHN_TITLE
from bsqh_core.datasets.svhn import load_svhn
from bsqh_core.errors import DataError


@dataclass(frozen=True)
class DatasetEntry:
    """A data set in the registry.

    Attributes
    ----------
    title, description : str
        Name for people, and one sentence.
    load : (directory, download) -> Dataset
        Reads the set from the data directory, after downloading it there if wanted and needed.
    synthetic : bool
        Whether the images are computed, not measured.
    files : str
        Pattern of the set's files, or folders of them, below the data directory; empty if it needs none.
    """

    title: str
    description: str
    load: Callable[[Path, bool], Dataset]
    synthetic: bool = False
    files: str = ""

    @property
    def needs_download(self) -> bool:
        """Whether files have to be there, or be downloaded."""
        return bool(self.files)


def _mnist(name: str, title: str, class_name: str, description: str) -> DatasetEntry:
    load = partial(load_mnist, name, title, class_name)
    return DatasetEntry(title, description, load, files=f"{class_name}/raw/*-ubyte*")


DATASETS: dict[str, DatasetEntry] = {
    "digits": DatasetEntry(
        "Digits (scikit-learn)",
        "1,797 handwritten digits, enlarged from 8x8 pixels; needs no download.",
        lambda directory, download: load_digits(),
    ),
    "organ-phantoms": DatasetEntry(
        PHANTOMS_TITLE,
        "Computed look-alikes of OrganAMNIST's eleven organs in CT slices; needs no download.",
        lambda directory, download: load_phantoms(),
        synthetic=True,
    ),
    "mnist": _mnist("mnist", "MNIST", "MNIST", "70,000 handwritten digits (HB25 8.1)."),
    "fashion-mnist": _mnist(
        "fashion-mnist", "Fashion-MNIST", "FashionMNIST", "70,000 pictures of ten kinds of garment."
    ),
    "kmnist": _mnist("kmnist", "Kuzushiji-MNIST", "KMNIST", "70,000 cursive Japanese characters of ten kinds."),
    "cifar-10": DatasetEntry(
        CIFAR10_TITLE,
        "60,000 photographs of ten kinds of animal and vehicle, colour.",
        load_cifar10,
        files="cifar-10-*py*",  # the archive and the folder
    ),
    "svhn": DatasetEntry(
        SVHN_TITLE,
        "99,289 digits of house numbers, cropped from street views, colour.",
        load_svhn,
        files="t*_32x32.mat",
    ),
    "two-moons": DatasetEntry(
        "Two moons",
        "800 computed points in the plane, two half circles; needs no download.",
        lambda directory, download: load_two_moons(),
        synthetic=True,
    ),
    "spirals": DatasetEntry(
        "Spirals",
        "800 computed points in the plane, two spirals; needs no download.",
        lambda directory, download: load_spirals(),
        synthetic=True,
    ),
    "profiles": DatasetEntry(
        PROFILES_TITLE,
        "One function of y and what it is to become; for the selection network.",
        lambda directory, download: load_profiles("exp(-50*(y-0.5)**2)", "0.5*sin(2*pi*y)", 32),
        synthetic=True,
    ),
    **{
        flag: DatasetEntry(title, description, partial(load_medmnist, flag), files=f"{flag}.npz")
        for flag, (title, description) in MEDMNIST.items()
    },
}

_CACHED_SETS = 2
_cache: OrderedDict[tuple[str, Path], tuple[list[tuple[str, int, int]], Dataset]] = OrderedDict()
_cache_lock = threading.Lock()


def data_directory() -> Path:
    """The folder of downloaded data: `BSQH_DATA_DIR`, else `bsqh-studio` in the user's cache folder."""
    chosen = os.environ.get("BSQH_DATA_DIR")
    return Path(chosen).expanduser() if chosen else cache_directory()


def cache_directory() -> Path:
    """`bsqh-studio` in the user's cache folder."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "bsqh-studio"


def load_dataset(name_or_path: str, directory: Path | None = None, download: bool = True) -> Dataset:
    """A data set by its name in `DATASETS`, or the one in an .npz file.

    The two sets used last are kept in memory, as long as their files do not change. Tensors are
    on the CPU and shared between callers: do not write to them.

    Parameters
    ----------
    name_or_path : str
        A name in `DATASETS`, or a path that ends in `.npz` (form: `NPZ_FORMAT`).
    directory : Path, optional
        Where downloaded files are kept; `data_directory()` if absent.
    download : bool
        Whether missing files may be downloaded.

    Raises
    ------
    DataError
        If there is no such set, or it is missing, damaged or of the wrong form.
    """
    folder = Path(directory) if directory is not None else data_directory()
    if (entry := DATASETS.get(name_or_path)) is not None:
        files, load = entry.files, partial(entry.load, folder, download)
    elif name_or_path.endswith(".npz"):
        path = Path(name_or_path).expanduser()
        folder, files, load = path.parent, glob.escape(path.name), partial(load_npz, path)
    else:
        raise DataError(
            f"There is no data set {name_or_path!r}: choose one of {', '.join(DATASETS)}, "
            "or give the path of an .npz file."
        )
    key = (name_or_path, folder.absolute())
    with _cache_lock:
        kept = _cache.get(key)
        if kept is not None and kept[0] == _stamps(folder, files):
            _cache.move_to_end(key)
            return kept[1]
    dataset = load()
    with _cache_lock:
        # Stamped after loading, which may just have downloaded the files.
        _cache[key] = (_stamps(folder, files), dataset)
        _cache.move_to_end(key)
        while len(_cache) > _CACHED_SETS:
            _cache.popitem(last=False)
    return dataset


def _stamps(folder: Path, files: str) -> list[tuple[str, int, int]]:
    """Name, time of change and size of each file, to notice when one is replaced."""
    found = sorted(folder.glob(files)) if files else []
    found += [inner for path in found if path.is_dir() for inner in sorted(path.iterdir())]
    return [(path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in found]
