"""A data set: images and labels of up to three splits, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bsqh_core.datasets.arrays import Scaling, checked_classes, images_tensor, labels_tensor, scaling_of
from bsqh_core.errors import DataError

# Not the seed of a run: runs that differ in their seed must train on the same images.
_SUBSET_SEED, _VALIDATION_SEED = 20250101, 20250102


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels that belong together.

    Attributes
    ----------
    x : Tensor
        Images, (N, C, H, W): floating, or uint8 for `Dataset.to` to standardise.
    y : Tensor
        Class numbers, int64, (N,); or floating targets, (N, M), in a data set without classes.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class DataFacts:
    """What is to be known of a data set when its tensors are gone."""

    title: str
    edition: str
    synthetic: bool
    training_images: int
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training images with the held-out splits there are; made by `load_dataset` or `from_arrays`.

    Attributes
    ----------
    name, title : str
        The name in the registry (or file name) and the one for people.
    train : Split
        Images to train on.
    validation, test : Split | None
        Held-out images, or None where the set has no such split.
    classes : tuple[str, ...]
        Names of the classes; label i is `classes[i]`.
    synthetic : bool
        Whether the images were computed, not measured.
    edition : str
        Which published edition of the data this is, where there are several.
    scaling : Scaling | None
        What standardises uint8 images; None if they are floating.
    standardised : bool
        Whether `scaling` has been applied.
    """

    name: str
    title: str
    train: Split
    validation: Split | None
    test: Split | None
    classes: tuple[str, ...]
    synthetic: bool = False
    edition: str = ""
    scaling: Scaling | None = None
    standardised: bool = False

    @property
    def facts(self) -> DataFacts:
        return DataFacts(self.title, self.edition, self.synthetic, len(self.train), self.classes)

    @property
    def channels(self) -> int:
        """C: 1 for grey images, 3 for colour."""
        return self.train.x.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.train.x.shape[2], self.train.x.shape[3]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @classmethod
    def from_arrays(
        cls,
        train: tuple[Any, Any],
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        classes: Sequence[str] | None = None,
        name: str = "arrays",
        title: str = "",
        synthetic: bool = False,
        edition: str = "",
    ) -> Dataset:
        """A data set from NumPy arrays or torch tensors: (images, labels) for each split.

        Parameters
        ----------
        train, validation, test : (images, labels)
            Images uint8 of shape (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W): `to` scales them to [0, 1]
            and standardises them per channel with mean and standard deviation of the training images.
            Or floating, (N, C, H, W), (N, H, W, 1 or 3) or (N, H, W): values as they are (float16 becomes float32).
            Labels are whole numbers from 0, (N,) or (N, 1). Floating torch tensors are not copied.
        classes : sequence of str, optional
            Names of the classes; "0", "1", … up to the largest label if absent.

        Raises
        ------
        DataError
            With a sentence that says which array is wrong, and what is expected.
        """
        pairs = {"training": train, "validation": validation, "test": test}
        x: dict[str, Tensor] = {}
        y: dict[str, Tensor] = {}
        for split, pair in pairs.items():
            if pair is None and split != "training":
                continue
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise DataError(f"The {split} split must be a pair (images, labels).")
            x[split] = images_tensor(pair[0], split)
            y[split] = labels_tensor(pair[1], split, len(x[split])).to(x[split].device)
            if x[split].shape[1:] != x["training"].shape[1:] or x[split].dtype != x["training"].dtype:
                raise DataError(
                    f"The {split} images are {_form(x[split])}, but the training images are {_form(x['training'])}: "
                    "all splits need the same channels, size and number format."
                )
        names = checked_classes(classes, y)
        splits = {split: Split(x[split], y[split]) for split in x}
        return cls(
            name=name,
            title=title or name,
            train=splits["training"],
            validation=splits.get("validation"),
            test=splits.get("test"),
            classes=names,
            synthetic=synthetic,
            edition=edition,
            scaling=scaling_of(x["training"]) if x["training"].dtype == torch.uint8 else None,
        )

    def subset(self, n: int) -> Dataset:
        """The same data set with only `n` of its training images, always the same random ones.

        A smaller subset is part of a larger one. Images stay standardised as in the whole set.

        Raises
        ------
        DataError
            If there are fewer than `n` training images, or `n` is less than 1.
        """
        total = len(self.train)
        if not 1 <= n <= total:
            raise DataError(f"{self.title} has {total:,} training images: ask for 1 to {total:,} of them, not {n:,}.")
        if n == total:
            return self
        chosen = torch.randperm(total, generator=torch.Generator().manual_seed(_SUBSET_SEED))[:n]
        chosen = chosen.to(self.train.x.device)
        return replace(self, train=Split(self.train.x[chosen], self.train.y[chosen]))

    def with_validation(self, n: int) -> Dataset:
        """The same data set with `n` of its training images held out for validation, always the same random ones.

        Images stay standardised as in the whole set.

        Raises
        ------
        DataError
            If there are validation images of its own, or fewer than n + 1 training images.
        """
        if self.standardised and self.validation is not None and len(self.validation) == n:
            return self  # prepared for training, and with it held out already
        total = len(self.train)
        if self.validation is not None:
            raise DataError(f"{self.title} has validation images of its own: leave validation_samples empty.")
        if not 1 <= n < total:
            raise DataError(f"{self.title} has {total:,} training images: hold out 1 to {total - 1:,}, not {n:,}.")
        order = torch.randperm(total, generator=torch.Generator().manual_seed(_VALIDATION_SEED)).to(self.train.x.device)
        held, rest = order[:n], order[n:].sort().values
        splits = [Split(self.train.x[index], self.train.y[index]) for index in (rest, held)]
        return replace(self, train=splits[0], validation=splits[1])

    def scaled_to_unit(self) -> Dataset:
        """The same data set, whose uint8 images `to` scales to [0, 1] and does not standardise."""
        return self if self.scaling is None or self.standardised else replace(self, scaling=self.scaling.unit())

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Dataset:
        """The same data set ready for training: on `device`, images standardised, as `dtype`, channels-last.

        Class numbers stay int64.
        """

        def moved(split: Split) -> Split:
            x = split.x.to(device)  # as bytes, if they are: a quarter of the way's load
            x = self.scaling.standardised(x) if self.scaling and not self.standardised else x
            y = split.y.to(device, dtype if split.y.is_floating_point() else None)
            return Split(x.to(dtype, memory_format=torch.channels_last), y)

        return replace(
            self,
            train=moved(self.train),
            validation=self.validation and moved(self.validation),
            test=self.test and moved(self.test),
            standardised=True,
        )


def _form(x: Tensor) -> str:
    """Channels, size and number format in words, e.g. "1x28x28 uint8"."""
    return f"{'x'.join(map(str, x.shape[1:]))} {str(x.dtype).removeprefix('torch.')}"
