"""What the command line asks of Kueue's walks: a seed, a file, minutes; a bad one is one clear line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay.settings import Settings
from gpuassay.systems.kueue import options
from gpuassay.systems.kueue.objects.walk_steps import walk


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What is chosen is of the whole process."""
    before = vars(options.CHOSEN).copy()
    yield
    vars(options.CHOSEN).update(before)


def parsed(*words: str) -> Settings:
    """The command line as pytest hands it over."""
    parser = argparse.ArgumentParser(exit_on_error=False)

    class Group:
        addoption = staticmethod(parser.add_argument)

    options.add_options(Group())  # type: ignore[arg-type]
    return Settings.of(parser.parse_args(words))


def test_nothing_asked_is_the_sample() -> None:
    """Red when a run without options takes no walk, or a long one."""
    options.take(parsed())
    chosen = options.CHOSEN
    assert (chosen.walk, chosen.walk_again, chosen.walk_minutes, chosen.walks_asked) == (1, None, 0.0, False)


def test_a_seed_and_minutes() -> None:
    """Red when the seed or the minutes are lost."""
    options.take(parsed("--kueue-walk", "42", "--kueue-walk-minutes", "3"))
    chosen = options.CHOSEN
    assert (chosen.walk, chosen.walk_again, chosen.walk_minutes, chosen.walks_asked) == (42, None, 3.0, True)


def test_a_file_is_taken_again(tmp_path: Path) -> None:
    """Red when a walk from a file is not the one that was saved."""
    walk(5, 9).save(tmp_path / "five.json")
    options.take(parsed("--kueue-walk", str(tmp_path / "five.json")))
    assert options.CHOSEN.walk_again == walk(5, 9) and options.CHOSEN.walks_asked


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--kueue-walk", "no-such-file"), "neither a seed nor a walk: no-such-file: No such file or directory"),
        (("--kueue-walk", "1" * 13), "a seed has at most 12 digits"),
        (("--kueue-walk", ""), "the value is empty"),
        (("--kueue-walk", "-1"), "neither a seed nor a walk"),
        (("--kueue-walk-minutes", "-1"), "must be at least 0"),
    ],
)
def test_bad_words_are_one_line(words: tuple[str, str], says: str) -> None:
    """Red when a bad value is taken, or the message does not say what is wrong."""
    with pytest.raises(argparse.ArgumentError, match=says) as told:
        parsed(f"{words[0]}={words[1]}")
    assert "\n" not in str(told.value)
