import numpy as np
import pytest

from labkit import maps

pytestmark = pytest.mark.engine


def test_each_value_becomes_a_rectangle():
    found = maps.spread([[[1, 2], [3, 4]]], 4)
    assert found.tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]
    assert maps.spread(np.ones((3, 7, 7)), 32).shape == (3, 32, 32)


def test_the_words_say_where_a_map_is_largest():
    pictures = np.zeros((2, 8, 8, 1))
    values = np.zeros((2, 4, 4))
    values[0, 0, 3] = 1
    shown = maps.over(pictures, {"gradient": values}, ["a 4", "a 9"])
    assert "(a 4, a 9)" in shown.alt
    assert "the map gradient each is largest: top right; nowhere" in shown.alt
    assert shown.svg.count("<image") == 6
    values[0, 0, 3] = 2
    assert maps.over(pictures, {"gradient": values}).digest != shown.digest


def test_a_map_for_another_number_of_pictures_is_refused():
    with pytest.raises(ValueError, match=r"CAM: maps of shape \(1, 4, 4\) for 2 pictures"):
        maps.over(np.zeros((2, 8, 8, 1)), {"CAM": np.zeros((1, 4, 4))})


def test_points_have_their_classes_shape_and_a_legend():
    rng = np.random.default_rng(0)
    planes = {"PCA": rng.normal(size=(6, 2)), "t-SNE": rng.normal(size=(6, 2))}
    shown = maps.points(planes, [0, 1, 2, 3, 0, 1], ["a", "b", "c", "d"])
    assert shown.alt == "6 points of the classes a, b, c, d, laid out in a plane by: PCA; t-SNE"
    assert shown.svg.count("<circle") == 2 + 8
    with pytest.raises(ValueError, match=r"PCA: \(6, 2\) points for 5 labels"):
        maps.points(planes, range(5), ["a"])
