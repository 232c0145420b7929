import numpy as np
import pytest

from labkit import data, plot, shapes

pytestmark = pytest.mark.engine


def test_a_seed_decides_every_pixel_and_processors_do_not():
    first, again = (shapes.images(40, 20, seed=1) for _ in range(2))
    assert np.array_equal(first.train_images, again.train_images)
    assert not np.array_equal(first.train_images, shapes.images(40, 20, seed=2).train_images)
    assert plot.digest(first.train_images, first.test_masks) == "c76f1c8b"


def test_pictures_are_grey_values_of_8_bits_and_classes_are_even():
    found = shapes.images(40, 20, seed=3)
    assert found.train_images.shape == (40, 32, 32, 1)
    assert found.test_images.shape == (20, 32, 32, 1)
    levels = 255 * found.train_images
    assert np.allclose(levels, np.round(levels))
    assert 0 <= levels.min() < levels.max() <= 255
    labels = np.concatenate([found.train_labels, found.test_labels])
    assert np.array_equal(np.bincount(labels), [15] * 4)


def test_a_mask_lies_on_the_shape():
    found = shapes.images(80, 20, seed=4)
    pictures, masks = found.train_images[..., 0], found.train_masks
    inside = (pictures * masks).sum(axis=(1, 2)) / masks.sum(axis=(1, 2))
    outside = (pictures * ~masks).sum(axis=(1, 2)) / (~masks).sum(axis=(1, 2))
    assert (inside > outside + 0.1).all()
    parts = masks.mean(axis=(1, 2))
    assert parts.min() > 0.03
    assert parts.max() < 0.4


def test_a_mark_changes_the_middle_of_the_corner_and_nothing_else():
    rng = np.random.default_rng(0)
    for side, channels in ((32, 1), (8, 3), (64, 3)):
        pictures = rng.random((3, side, side, channels)) / 2 + 0.25
        kept = pictures.copy()
        which = np.array([True, False, True])
        found = shapes.marked(pictures, which)
        assert np.array_equal(pictures, kept)
        assert np.array_equal(found[1], pictures[1])
        changed = (found != pictures).any(axis=(0, 3))
        assert changed.any()
        assert not (changed & ~shapes.corner(side)).any()
        assert set(found[0][changed].ravel()) == ({0.0, 1.0} if side > 8 else {0.0})


def test_of_other_pictures_all_counts_as_the_object():
    given = np.zeros((2, 8, 8, 1)), np.zeros(2, int)
    other = data.Images("mine", ("a", "b"), *given, *given)
    assert shapes.masks(other).all()
    assert shapes.masks(other).shape == (2, 8, 8)
    drawn = shapes.images(8, 4)
    assert shapes.masks(drawn) is drawn.test_masks
