"""`Dataset.from_arrays`, `subset` and `to`."""

from __future__ import annotations

import warnings

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bsqh_core.datasets import Dataset
from bsqh_core.errors import DataError

RNG = np.random.default_rng(0)
Y = np.array([0, 1, 2, 1])
GREY = RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8)
FLOATS = RNG.standard_normal((4, 1, 5, 6))


def test_uint8_images_are_standardised_with_the_training_statistics():
    train = RNG.integers(0, 200, (20, 5, 6, 3), dtype=np.uint8)
    test = RNG.integers(100, 256, (7, 5, 6, 3), dtype=np.uint8)
    data = Dataset.from_arrays((train, np.arange(20) % 3), test=(test, np.zeros(7, int))).to("cpu", torch.float32)
    mean, std = (train / 255).mean(axis=(0, 1, 2)), (train / 255).std(axis=(0, 1, 2))
    for split, images in ((data.train, train), (data.test, test)):
        expected = ((images / 255 - mean) / std).transpose(0, 3, 1, 2)
        assert split.x.dtype == torch.float32
        assert split.y.dtype == torch.int64
        np.testing.assert_allclose(split.x.numpy(), expected, atol=1e-5)
    assert (data.channels, data.image_size, data.n_classes, len(data.train)) == (3, (5, 6), 3, 20)
    assert data.validation is None
    assert data.classes == ("0", "1", "2")


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(4, 7))))
def test_standardised_images_have_mean_0_and_deviation_1_or_0(images):
    x = Dataset.from_arrays((images, np.zeros(len(images), int)), classes=("a", "b")).to("cpu", torch.float64).train.x
    assert abs(x.mean()) < 1e-4
    assert abs(x.std(correction=0) - (0 if (images == images.flat[0]).all() else 1)) < 1e-4


@pytest.mark.parametrize("level", [0, 7, 255])
def test_constant_images_do_not_divide_by_zero(level):
    data = Dataset.from_arrays((np.full((4, 5, 6), level, np.uint8), Y), test=(GREY, Y)).to("cpu", torch.float32)
    assert data.train.x.abs().max() < 1e-6
    assert data.test.x.isfinite().all()


@pytest.mark.parametrize(
    "images",
    [GREY, GREY[..., None], GREY[:, None], torch.from_numpy(GREY), np.asfortranarray(GREY), GREY[::-1][::-1]],
    ids=["NHW", "NHW1", "N1HW", "tensor", "fortran", "strided"],
)
def test_every_grey_layout_is_the_same_set(images):
    expected = Dataset.from_arrays((GREY, Y)).train
    got = Dataset.from_arrays((images, torch.from_numpy(Y)[:, None])).train
    assert torch.equal(got.x, expected.x)
    assert got.x.shape == (4, 1, 5, 6)
    assert torch.equal(got.y, expected.y)


def test_colour_may_come_first_or_last():
    last = RNG.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    first = np.moveaxis(last, 3, 1)
    assert torch.equal(Dataset.from_arrays((last, Y)).train.x, Dataset.from_arrays((first, Y)).train.x)


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize(
    ("given_type", "kept"), [(np.float64, torch.float64), (np.float32, torch.float32), (np.float16, torch.float32)]
)
def test_floating_images_are_taken_as_they_are(make, given_type, kept):
    images = FLOATS.astype(given_type)
    x = Dataset.from_arrays((make(images), Y)).train.x
    assert x.dtype == kept
    assert np.array_equal(x.numpy(), images)
    assert Dataset.from_arrays((make(images[:, 0]), Y)).train.x.shape == (4, 1, 5, 6)


def test_byte_order_and_read_only_arrays_do_not_matter():
    images = FLOATS.astype(">f8")
    images.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = Dataset.from_arrays((images, Y.astype(">i2")))
    assert np.array_equal(data.train.x.numpy(), FLOATS)
    assert data.train.y.tolist() == Y.tolist()


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_bytes_are_independent_of_the_images_given(make):
    images = make(GREY)
    data = Dataset.from_arrays((images, Y))
    images[:] = 0
    assert np.array_equal(data.train.x[:, 0].numpy(), GREY)


def test_the_set_is_independent_of_the_arrays_given():
    images, labels = FLOATS.copy(), Y.copy()
    data = Dataset.from_arrays((images, labels))
    images[:], labels[:] = 0, 0
    assert np.array_equal(data.train.x.numpy(), FLOATS)
    assert data.train.y.tolist() == Y.tolist()


def test_classes_count_over_all_splits():
    data = Dataset.from_arrays((GREY, Y), validation=(GREY, Y + 2), classes=None)
    assert data.classes == ("0", "1", "2", "3", "4")


def replaced(array, value):
    array = array.copy()
    array.flat[0] = value
    return array


REFUSED = {
    "int images": ({"train": (GREY.astype(int), Y)}, "training images must be uint8 or floating, not int64"),
    "int tensor": ({"train": (torch.from_numpy(GREY).int(), Y)}, "must be uint8 or floating, not int32"),
    "text images": ({"train": (np.array(["a"]), Y)}, "training images must be uint8 or floating"),
    "ragged": ({"train": ([[1, 2], [3]], Y)}, "training images cannot be read as an array"),
    "two axes": ({"train": (GREY[0], Y)}, "must have shape (N, H, W)"),
    "two channels": ({"train": (np.stack([GREY, GREY], 3), Y)}, "must have shape (N, H, W)"),
    "five axes": ({"train": (FLOATS[None], Y)}, "must have shape (N, C, H, W)"),
    "NaN": ({"train": (replaced(FLOATS, np.nan), Y)}, "training images must be finite"),
    "infinity": ({"train": (FLOATS, Y), "test": (replaced(FLOATS, np.inf), Y)}, "test images must be finite"),
    "empty": ({"train": (GREY[:0], Y[:0])}, "training images are empty"),
    "empty validation": ({"train": (GREY, Y), "validation": (GREY[:0], Y[:0])}, "validation images are empty"),
    "no pair": ({"train": GREY}, "training split must be a pair"),
    "no training": ({"train": None}, "training split must be a pair"),
    "other size": ({"train": (GREY, Y), "test": (GREY[:, :4], Y)}, "test images are 1x4x6 uint8, but the training"),
    "other format": ({"train": (GREY, Y), "test": (FLOATS, Y)}, "test images are 1x5x6 float64"),
    "float labels": ({"train": (GREY, Y / 1)}, "training labels must be whole numbers"),
    "half labels": ({"train": (GREY, torch.tensor(Y).bfloat16())}, "training labels"),
    "bool labels": ({"train": (GREY, Y > 0)}, "training labels must be whole numbers"),
    "several labels": ({"train": (GREY, np.ones((4, 3), int))}, "only data with one label for each image"),
    "label axes": ({"train": (GREY, np.ones((4, 1, 1), int))}, "labels must have shape (N,) or (N, 1)"),
    "too few labels": ({"train": (GREY, Y), "test": (GREY, Y[:3])}, "4 test images but 3 test labels"),
    "negative label": ({"train": (GREY, Y - 1)}, "one is -1"),
    "label too large": ({"train": (GREY, Y), "classes": ("a", "b")}, "between 0 and 1, as there are 2 classes"),
    "huge label": ({"train": (GREY, replaced(Y, 2**40))}, "between 0 and 999"),
    "unsigned label": ({"train": (GREY, np.full(4, 2**64 - 1, np.uint64))}, "between 0 and 999"),
    "one class": ({"train": (GREY, Y * 0)}, "2 to 1000 classes are needed, but there is 1"),
    "classes as one text": ({"train": (GREY, Y), "classes": "abc"}, "classes must be a sequence"),
}


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED.values(), ids=REFUSED)
def test_wrong_arrays_are_refused_with_a_sentence(arguments, sentence):
    with pytest.raises(DataError) as refusal:
        Dataset.from_arrays(**arguments)
    assert sentence in str(refusal.value)


def numbered(n: int) -> Dataset:
    images = np.broadcast_to(np.arange(n, dtype=float).reshape(n, 1, 1, 1), (n, 1, 2, 2))
    return Dataset.from_arrays((images, np.arange(n) % 2), test=(images[:1], [0]), name="numbers")


def test_a_subset_is_random_fixed_and_nested():
    data = numbered(500)
    small, large = data.subset(50), data.subset(200)
    kept = small.train.x[:, 0, 0, 0].tolist()
    torch.manual_seed(123)
    assert data.subset(50).train.x[:, 0, 0, 0].tolist() == kept
    assert len(set(kept)) == 50
    assert set(kept) < set(large.train.x[:, 0, 0, 0].tolist())
    assert kept != sorted(kept)
    assert max(kept) > 400
    assert small.train.y.tolist() == [int(number) % 2 for number in kept]
    assert small.test is data.test
    assert small.name == "numbers"
    assert data.subset(500).train is data.train


def test_validation_images_are_held_out_once_and_fixed() -> None:
    data = numbered(500).with_validation(100)
    held, kept = (split.x[:, 0, 0, 0].tolist() for split in (data.validation, data.train))
    assert sorted(held + kept) == list(range(500))
    assert held != sorted(held), "they are random"
    assert numbered(500).with_validation(100).validation.x[:, 0, 0, 0].tolist() == held
    prepared = data.to("cpu", torch.float32)
    assert prepared.with_validation(100) is prepared
    assert set(data.subset(50).train.x[:, 0, 0, 0].tolist()).isdisjoint(held)


@pytest.mark.parametrize(("data", "n", "says"), [(20, 20, "hold out 1 to 19, not 20"), (20, 0, "hold out 1 to 19")])
def test_an_impossible_hold_out_says_what_is_possible(data: int, n: int, says: str) -> None:
    with pytest.raises(DataError, match=says):
        numbered(data).with_validation(n)


@pytest.mark.parametrize("n", [3, 5])
def test_validation_images_of_its_own_are_not_replaced(n: int) -> None:
    with pytest.raises(DataError, match="validation images of its own"):
        numbered(20).with_validation(5).with_validation(n)


def test_images_that_are_only_scaled_lie_between_0_and_1() -> None:
    x = np.array([0, 51, 255] * 16, np.uint8).reshape(3, 4, 4)
    data = Dataset.from_arrays(train=(x, np.arange(3))).scaled_to_unit().to("cpu", torch.float32)
    assert data.train.x[0, 0, 0, :3].tolist() == pytest.approx([0.0, 0.2, 1.0])


def test_a_subset_leaves_the_global_generator_alone():
    data = numbered(20)
    before = torch.random.get_rng_state()
    data.subset(5)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("n", [0, -1, 21, 10_000])
def test_an_impossible_subset_says_how_many_there_are(n):
    with pytest.raises(DataError, match=r"numbers has 20 training images: ask for 1 to 20"):
        numbered(20).subset(n)


def test_to_moves_images_and_keeps_labels_whole():
    data = numbered(4).to("cpu", torch.float32)
    assert data.train.x.dtype == data.test.x.dtype == torch.float32
    assert data.train.y.dtype == torch.int64
    assert data.validation is None
    moved = numbered(4).to(torch.device("meta"), torch.float32)
    assert moved.train.x.is_meta
    assert moved.train.y.is_meta
    assert moved.test.y.is_meta


def test_floating_images_may_have_their_channels_last() -> None:
    x = np.random.default_rng(0).random((6, 20, 24, 3))
    data = Dataset.from_arrays(train=(x, np.arange(6) % 2))
    assert (data.channels, data.image_size) == (3, (20, 24))
    np.testing.assert_array_equal(data.train.x.numpy(), x.transpose(0, 3, 1, 2))
