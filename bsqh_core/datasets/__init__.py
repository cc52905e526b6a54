"""Named data sets, own .npz files and own arrays as checked tensors.

Importing this needs torch and NumPy alone; scikit-learn, torchvision and medmnist are imported by
the sets that come from them.
"""

from bsqh_core.datasets.dataset import DataFacts, Dataset, Split
from bsqh_core.datasets.npz import MAX_NPZ_BYTES, NPZ_FORMAT
from bsqh_core.datasets.registry import DATASETS, DatasetEntry, cache_directory, data_directory, load_dataset

__all__ = [
    "DATASETS",
    "MAX_NPZ_BYTES",
    "NPZ_FORMAT",
    "DataFacts",
    "Dataset",
    "DatasetEntry",
    "Split",
    "cache_directory",
    "data_directory",
    "load_dataset",
]
