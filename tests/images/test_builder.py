"""A builder is entered with nothing of the host's but the folder to build in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import HostError, RequestError
from lab.images.builder import command_in
from lab.images.recipe import RECIPES, read_recipe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("usr", "etc", "dev", "proc"):
        (root / name).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    return root


def command(root: Path, mounts: dict[str, Path] | None = None) -> list[str]:
    return command_in(root, ["make", "modules"], Path("/store/work"), mounts or {})


def pairs(words: list[str], option: str, width: int) -> list[tuple[str, ...]]:
    return [tuple(words[i + 1 : i + 1 + width]) for i, word in enumerate(words) if word == option]


def test_the_root_is_read_only_and_only_the_work_folder_is_writable(root: Path) -> None:
    words = command(root)
    assert pairs(words, "--ro-bind", 2) == [(str(root / "etc"), "/etc"), (str(root / "usr"), "/usr")]
    assert pairs(words, "--symlink", 2) == [("usr/bin", "/bin")]
    assert pairs(words, "--bind", 2) == [("/store/work", "/build")]


def test_what_is_mounted_beside_the_root_is_read_only_and_comes_after_it(root: Path) -> None:
    mounted = pairs(command(root, {"/usr/src": Path("/store/headers")}), "--ro-bind", 2)
    assert mounted[-1] == ("/store/headers", "/usr/src")


def test_a_mount_may_lie_in_a_folder_of_the_roots_own(root: Path) -> None:
    (root / "home").mkdir()
    (root / "usr/lib").mkdir()
    (root / "usr/sbin").symlink_to("bin")
    words = command(root, {"/home/me/linux": Path("/home/me/linux"), "/usr/local/linux": Path("/usr/local/linux")})
    assert pairs(words, "--ro-bind", 2) == [
        (str(root / "etc"), "/etc"),
        (str(root / "usr/lib"), "/usr/lib"),
        ("/home/me/linux", "/home/me/linux"),
        ("/usr/local/linux", "/usr/local/linux"),
    ]
    assert pairs(words, "--symlink", 2) == [("usr/bin", "/bin"), ("bin", "/usr/sbin")]


def test_there_is_no_network_no_environment_and_no_process_of_the_hosts(root: Path) -> None:
    words = command(root)
    assert {"--unshare-all", "--clearenv", "--new-session", "--die-with-parent"} <= set(words)
    assert "--share-net" not in words
    assert {name for name, _ in pairs(words, "--setenv", 2)} == {"PATH", "LC_ALL", "HOME"}


def test_variables_are_set_after_the_environment_was_cleared(root: Path) -> None:
    words = command(root)
    assert words.index("--clearenv") < words.index("--setenv")


def test_the_command_stands_behind_the_options(root: Path) -> None:
    words = command(root)
    assert words[words.index("--") + 1 :] == ["make", "modules"]


def test_without_bwrap_the_package_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(HostError, match="apt-get install bubblewrap"):
        command(root)


@pytest.mark.parametrize(
    "path", sorted(path for path in RECIPES.rglob("*.toml") if path.parent.name != "initrd"), ids=lambda path: path.stem
)
def test_every_recipe_can_be_read_and_names_packages(path: Path) -> None:
    assert read_recipe(path).package_names()


@pytest.mark.parametrize("content", [b"packages = 1", b"sweet = 'forky'\n[packages]", b"[", b"\xff"])
def test_a_wrong_recipe_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(RequestError, match=r"recipe\.toml cannot be read"):
        read_recipe(tmp_path / "recipe.toml")


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"absent\.toml cannot be read"):
        read_recipe(tmp_path / "absent.toml")


def test_a_package_wanted_for_two_reasons_is_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('[packages]\na = ["x", "y"]\nb = ["x"]\n')
    assert read_recipe(tmp_path / "recipe.toml").package_names() == ("x", "y")
