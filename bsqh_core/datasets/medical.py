"""The MedMNIST v2 sets of 28x28 images with one label each, as the `medmnist` package publishes them."""

from __future__ import annotations

from pathlib import Path

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.datasets.download import RemoteFile, md5_of, obtain
from bsqh_core.datasets.npz import read_npz, splits
from bsqh_core.errors import DataError

# Written out, so that naming the sets does not need medmnist.
MEDMNIST: dict[str, tuple[str, str]] = {
    "organamnist": ("OrganAMNIST", "Eleven organs in axial slices of abdominal CT, grey (HB25 8.3)."),
    "organcmnist": ("OrganCMNIST", "Eleven organs in coronal slices of abdominal CT, grey."),
    "organsmnist": ("OrganSMNIST", "Eleven organs in sagittal slices of abdominal CT, grey."),
    "pathmnist": ("PathMNIST", "Nine kinds of tissue in stained slides of colorectal cancer, colour."),
    "dermamnist": ("DermaMNIST", "Seven kinds of pigmented skin lesion in dermatoscopy, colour."),
    "octmnist": ("OCTMNIST", "Four diagnoses in optical coherence tomography of the retina, grey."),
    "pneumoniamnist": ("PneumoniaMNIST", "Normal or pneumonia in chest X-rays of children, grey."),
    "retinamnist": ("RetinaMNIST", "Five grades of diabetic retinopathy in photographs of the fundus, colour."),
    "breastmnist": ("BreastMNIST", "Malignant or not in ultrasound of the breast, grey."),
    "bloodmnist": ("BloodMNIST", "Eight kinds of blood cell under the microscope, colour."),
    "tissuemnist": ("TissueMNIST", "Eight kinds of kidney cortex cell under the microscope, grey."),
}

# MD5 -> edition, where a file other than that of the installed medmnist is in use.
_EDITIONS = {
    "organamnist": {
        "866b832ed4eeba67bfb9edee1d5544e6": "older edition, 34,581 training images (as in HB25)",
        "68e3f8846a6bd62f0c9bf841c0d9eacc": "medmnist 3.0.2, 34,561 training images",
    }
}


def load_medmnist(flag: str, directory: Path, download: bool) -> Dataset:
    """A MedMNIST set from `<directory>/<flag>.npz`, if its MD5 is that of a published edition.

    Raises
    ------
    DataError
        If the file is missing and cannot be downloaded, or is not a published edition.
    """
    title = MEDMNIST[flag][0]
    try:
        import medmnist
    except ImportError:
        raise DataError(f"{title} needs medmnist: pip install medmnist") from None
    info = medmnist.INFO[flag]
    path = Path(directory, f"{flag}.npz")
    if not path.exists():
        obtain([RemoteFile(path, (info["url"],), info["MD5"])], title, download)
    editions = {info["MD5"]: f"medmnist {medmnist.__version__}, {info['n_samples']['train']:,} training images"}
    editions |= _EDITIONS.get(flag, {})
    md5 = md5_of(path)
    if md5 not in editions:
        raise DataError(
            f"{path} is not {title} as published: its MD5 is {md5}, not {' or '.join(editions)}. "
            "Delete it to have it downloaded again or, if it is your own data, rename it and give its path as data set."
        )
    names = info["label"]
    return Dataset.from_arrays(
        **splits(read_npz(path)),
        classes=[names[str(number)] for number in range(len(names))],
        name=flag,
        title=title,
        edition=editions[md5],
    )
