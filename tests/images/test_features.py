"""What a kernel lacks is told, and what no guest can do without is refused, by the option's name."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

import pytest

from lab.errors import RequestError, UnsupportedError
from lab.images.features import Features, demand_features, lost_features, read_features
from lab.images.recipe import RECIPES
from tests.images.test_initrd import kernel

FEATURES = read_features(RECIPES / "initrd" / "features.toml")
EVERYTHING = {feature.config: "y" for feature in (*FEATURES.required.values(), *FEATURES.optional.values())}


def configured(folder: Path, **changed: str) -> Path:
    """A config with everything that the lab looks for, but for what is changed ("n": not set)."""
    path = folder / "config"
    options = {**EVERYTHING, **changed}
    path.write_text("".join(f"CONFIG_{name}={value}\n" for name, value in options.items() if value != "n"))
    return path


def missing(folder: Path, present: Collection[str] = (), **changed: str) -> tuple[str, ...]:
    made = dataclasses.replace(kernel(folder), config=configured(folder, **changed))
    demand_features(made, FEATURES, present, ())
    return lost_features(made, FEATURES, present, ())


def test_a_kernel_that_has_everything_lacks_nothing(tmp_path: Path) -> None:
    assert missing(tmp_path) == ()


@pytest.mark.parametrize("name", FEATURES.required)
def test_a_kernel_without_what_every_guest_needs_is_unsupported_by_its_name(tmp_path: Path, name: str) -> None:
    option = FEATURES.required[name].config
    with pytest.raises(UnsupportedError, match=f"no {name} .CONFIG_{option}."):
        missing(tmp_path, **{option: "n"})


def test_a_module_is_as_good_as_built_in_when_it_is_there(tmp_path: Path) -> None:
    assert missing(tmp_path, {"virtio_blk"}, VIRTIO_BLK="m") == ()
    with pytest.raises(UnsupportedError, match="virtio_blk"):
        missing(tmp_path, VIRTIO_BLK="m")


def test_what_is_optional_is_told_with_what_is_lost(tmp_path: Path) -> None:
    (told,) = missing(tmp_path, OVERLAY_FS="n")
    assert "no overlay (CONFIG_OVERLAY_FS)" in told
    assert "copied into memory" in told


def test_a_kernel_that_says_nothing_of_itself_is_given_a_try(tmp_path: Path) -> None:
    demand_features(kernel(tmp_path), FEATURES, (), ())
    assert lost_features(kernel(tmp_path), FEATURES, (), ()) == ()


def test_a_list_of_what_is_built_in_counts_too(tmp_path: Path) -> None:
    made = dataclasses.replace(kernel(tmp_path), config=configured(tmp_path, VIRTIO_PCI="n"))
    demand_features(made, FEATURES, (), {"virtio_pci"})


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "features.toml").write_text("[required]\nx = 1\n")
    with pytest.raises(RequestError, match=r"features\.toml cannot be read"):
        read_features(tmp_path / "features.toml")


def test_names_are_in_the_order_in_which_they_are_loaded() -> None:
    features = Features.model_validate(
        {"required": {"b": {"config": "B", "why": "x"}}, "optional": {"a": {"config": "A", "why": "x"}}}
    )
    assert features.names() == ["b", "a"]
