from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from percept_cli.errors import PerceptError
from percept_cli.gate.rules import Rules
from percept_cli.gate.thresholds import NAMED
from percept_cli.results import Thresholds

BASE = {"preset": "rendering", "peak-threshold": None, "resize": "none"}
FILE = Path("percept.toml")


def rules(tables: Any, **more: Any) -> Rules:
    return Rules(BASE | more.pop("base", {}), tables, FILE, **more)


def test_an_image_without_a_glob_has_the_recipe_of_the_run() -> None:
    made = rules({"charts/*": {"peak-threshold": 0.5}})
    assert made.recipe_for("home.png") is made.recipe_of_others
    assert made.recipe_for("home.png").thresholds == Thresholds(NAMED["normal"])
    assert not made.recipe_for("home.png").overrides


def test_of_several_globs_the_last_wins_key_by_key() -> None:
    made = rules(
        {
            "charts/*": {"peak-threshold": 0.5, "ignore": [[1, 2, 3, 4], "5,6,7,8"]},
            "*/pie.png": {"peak-threshold": "strict", "threshold": 0.1},
        }
    )
    recipe = made.recipe_for("charts/pie.png")
    assert recipe.thresholds == Thresholds(NAMED["strict"], 0.1)
    assert recipe.options.ignore == ("1,2,3,4", "5,6,7,8")
    assert recipe.overrides == {
        "peak-threshold": "strict", "threshold": 0.1, "ignore": [[1, 2, 3, 4], "5,6,7,8"]
    }  # fmt: skip


def test_equal_globs_share_one_recipe() -> None:
    made = rules({"*.png": {"tolerance": 2, "peak-threshold": 0.4}})
    assert made.recipe_for("a.png") is made.recipe_for("b.png")
    assert made.recipe_for("a.png").options.tolerance == 2


def test_another_preset_brings_its_own_choices() -> None:
    made = rules(
        {"photos/*": {"preset": "photo", "threshold": 0.2, "layers": ["conv1_1", "conv3_1"]}},
        base={"blur": 2.0, "peak-threshold": "0.1"},
    )
    options = made.recipe_for("photos/a.jpg").options
    assert (options.distance, options.blur, options.layers) == ("l2", 0.0, ("conv1_1", "conv3_1"))
    assert made.recipe_of_others.options.blur == 2.0


def test_flags_win_over_globs() -> None:
    made = rules(
        {"*": {"peak-threshold": 0.9, "blur": 3.0}},
        base={"peak-threshold": "0.1"},
        fixed={"peak-threshold"},
    )
    recipe = made.recipe_for("a.png")
    assert recipe.thresholds.peak == 0.1 and recipe.options.blur == 3.0
    assert recipe.overrides == {"blur": 3.0}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([1], r"percept.toml: images is no table"),
        ({"*.png": 3}, r'images."\*.png" is no table'),
        ({"*.png": {"peak-treshold": 1}}, "unknown key 'peak-treshold': did you mean 'peak-thresh"),
        ({"*.png": {"resize": "none"}}, "unknown key 'resize'"),
    ],
)
def test_tables_that_mean_nothing_are_refused(tables: Any, message: str) -> None:
    with pytest.raises(PerceptError, match=message):
        rules(tables)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"preset": "render"}, "did you mean rendering"),
        ({"layers": ["conv1_9"]}, r"unknown layer 'conv1_9'"),
        ({"ignore": "1,2,3"}, "give x,y,width,height"),
        ({"ignore": ["mask.png"]}, "or a mask image that is there"),
        ({"peak-threshold": "loose"}, "give a number from 0 on"),
        ({"blur": 99}, "--blur 99: give 0 to 32"),
    ],
)
def test_a_setting_that_means_nothing_names_its_glob(table: Any, message: str) -> None:
    with pytest.raises(PerceptError, match=rf'percept.toml: images."a\*": .*{message}'):
        rules({"a*": table}).recipe_for("a.png")


def test_a_glob_that_matches_nothing_is_an_error_with_the_nearest_name() -> None:
    made = rules({"chart/*.png": {"threshold": 1}})
    with pytest.raises(PerceptError, match=r"matches no image: did you mean 'charts/pie.png'\?"):
        made.check_used(["home.png", "charts/pie.png"])
    made.check_used(["chart/a.png"])


def test_flags_win_over_another_preset_too() -> None:
    made = rules(
        {"photos/*": {"preset": "photo", "peak-threshold": 1}},
        base={"blur": 3.0, "layers": "conv1_1", "peak-threshold": 1},
        fixed={"blur", "layers"},
    )
    options = made.recipe_for("photos/a.png").options
    assert (options.distance, options.blur, options.layers) == ("l2", 3.0, ("conv1_1",))


def test_layers_of_an_image_drop_what_the_run_says_of_others() -> None:
    made = rules(
        {"a*": {"layers": ["conv1_1"]}},
        base={
            "layer-weight": {"conv3_1": 3.0},
            "layer-threshold": {"conv3_1": 0.1},
            "peak-threshold": 1,
        },
    )
    assert made.recipe_for("a.png").options.layer_weights == {"conv1_1": 1.0}
    assert made.recipe_of_others.thresholds.layers == {"conv3_1": 0.1}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("blur", "1"), ("tolerance", 1.5), ("threshold", True), ("raw", "no"), ("layers", 5),
        ("layers", [1]), ("layer-threshold", 3), ("layer-weight", {"conv1_1": "x"}),
        ("preset", ["a"]), ("ignore", 3), ("peak-threshold", [1]),
    ],
)  # fmt: skip
def test_a_setting_of_another_type_is_refused(key: str, value: Any) -> None:
    with pytest.raises(PerceptError, match=rf'images."a": {key} = .*: give '):
        rules({"a": {key: value}})
