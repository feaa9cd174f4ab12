"""Configs from YAML and dotted flags: right types in, errors that name the setting."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from cluster import config
from cluster.errors import InputError
from cluster.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Penalty:
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"penalty.gamma is {self.gamma}; set it to 0 or above")


@dataclass(frozen=True, kw_only=True)
class Training:
    steps: int = 10
    name: str | None = None
    optimizer: Literal["adam", "adamw"] = "adamw"
    betas: tuple[float, ...] = (0.0, 0.99)
    penalty: Penalty = field(default_factory=Penalty)


def test_override_reaches_nested_fields_with_their_types() -> None:
    result = config.override(Training(), ["penalty.gamma=1e-2", "steps=5", "name=spring", "betas=[0.5, 0.9]"])
    assert result == Training(steps=5, name="spring", betas=(0.5, 0.9), penalty=Penalty(gamma=0.01))


def test_yaml_file_keeps_the_defaults_it_does_not_name(tmp_path: Path) -> None:
    path = tmp_path / "best.yaml"
    path.write_text("penalty: {gamma: 0.5}\n")
    assert config.load(Training, path, ["steps=3"]) == Training(steps=3, penalty=Penalty(gamma=0.5))


def test_round_trip_through_plain_values() -> None:
    original = Training(name="x", penalty=Penalty(gamma=2.0))
    assert config.from_dict(Training, config.to_dict(original)) == original


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        pytest.param("penalty.gama=1", "unknown setting penalty.gama", id="typo"),
        pytest.param("penalty.gamma=-1", "penalty.gamma is -1.0; set it to 0", id="out-of-range"),
        pytest.param("steps=many", "steps is 'many'", id="wrong-type"),
        pytest.param("penalty.gamma=.nan", "penalty.gamma is nan; give a finite number", id="not-a-number"),
        pytest.param("penalty.gamma=1e999", "penalty.gamma is '1e999'; give a finite number", id="too-large"),
        pytest.param("steps=true", "steps is True", id="bool-is-no-int"),
        pytest.param("optimizer=sgd", "choose one of adam, adamw", id="not-a-choice"),
        pytest.param("optimizer.lr=1", "'optimizer' is not a group", id="not-a-group"),
        pytest.param("penalty=1", "penalty is 1, but a group of settings; set one of penalty.gamma", id="a-group"),
        pytest.param("penalty=", "penalty is None, but a group of settings", id="nothing-for-a-group"),
        pytest.param("steps", "has no '='", id="no-equals"),
    ],
)
def test_bad_assignment_names_the_setting(assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.override(Training(), [assignment])


@pytest.mark.parametrize("root", ["", "  ", "s3:/bucket/prefix", "s3:bucket"])
def test_a_storage_root_that_is_none_is_refused(root: str) -> None:
    """It would be taken for the folder the command runs in, or for a new one below it."""
    with pytest.raises(InputError, match="SHOPREEL_HOME is .*set it to a folder or a filesystem URI"):
        Settings.load({"SHOPREEL_HOME": root})
    assert Settings.load({"SHOPREEL_HOME": "s3://bucket/prefix"}).storage_root == "s3://bucket/prefix"
    for home in ("/shops:old", "/my shops #1", "/100 %"):
        assert Settings.load({"SHOPREEL_HOME": home}).storage_root == home
    for home in ("/why?", "/my%20shops"):  # its databases would be made elsewhere
        with pytest.raises(InputError, match=r"holds a '\?' or a '%' .*; rename it"):
            Settings.load({"SHOPREEL_HOME": home})


def test_bad_yaml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [")
    with pytest.raises(InputError, match="broken.yaml is not valid YAML"):
        config.load(Training, path)
    with pytest.raises(InputError, match="missing.yaml does not exist"):
        config.load(Training, tmp_path / "missing.yaml")
    with pytest.raises(InputError, match=f"config file {tmp_path} cannot be read: Is a directory; name a YAML file"):
        config.load(Training, tmp_path)
