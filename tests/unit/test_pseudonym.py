"""The key of pseudonyms: made once for an installation, or given; whatever is none is named and never shown."""

from pathlib import Path

import pytest

from cluster.errors import InputError, StorageError
from cluster.pseudonym import Pseudonymiser
from cluster.settings import Settings

DIGITS = "0f" * 32


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOPREEL_PSEUDONYM_KEY", raising=False)


def test_an_installation_keeps_its_key_to_its_owner(tmp_path: Path) -> None:
    settings = Settings.load({"SHOPREEL_HOME": str(tmp_path)})
    assert Pseudonymiser.load(settings).of("ann") == Pseudonymiser.load(settings).of("ann")
    (key,) = (tmp_path / "secrets").iterdir()
    assert key.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wrong", ["shop-key", DIGITS[:-2], f"{DIGITS[:-2]}xy"])
def test_a_key_that_is_none_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    settings = Settings.load({"SHOPREEL_HOME": str(tmp_path)})
    Pseudonymiser.load(settings)
    (file,) = (tmp_path / "secrets").iterdir()
    file.write_text(wrong)
    with pytest.raises(InputError, match=f"{file} must be 64 hexadecimal digits") as of_file:
        Pseudonymiser.load(settings)
    monkeypatch.setenv("SHOPREEL_PSEUDONYM_KEY", wrong)
    with pytest.raises(InputError, match="SHOPREEL_PSEUDONYM_KEY must be 64 hexadecimal digits") as of_setting:
        Pseudonymiser.load(settings)
    assert wrong not in f"{of_file.value} {of_setting.value}"
    monkeypatch.setenv("SHOPREEL_PSEUDONYM_KEY", f"{DIGITS}\n")
    assert Pseudonymiser.load(settings).of("ann") == Pseudonymiser(bytes.fromhex(DIGITS)).of("ann")


def test_a_key_is_not_kept_on_remote_storage() -> None:
    with pytest.raises(InputError, match="set SHOPREEL_PSEUDONYM_KEY"):
        Pseudonymiser.load(Settings.load({"SHOPREEL_HOME": "s3://bucket/prefix"}))


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    with pytest.raises(StorageError, match=rf"{home}/secrets/pseudonym.key: Not a directory; .*SHOPREEL_HOME"):
        Pseudonymiser.load(Settings.load({"SHOPREEL_HOME": str(home)}))
