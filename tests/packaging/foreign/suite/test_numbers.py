"""The controller's behaviours."""

from numbered.system import NumberedLab, NumberedRecording

from gpuassay import MUST, behaviour, scenario


@scenario(system="numbered")
def three(lab: NumberedLab) -> None:
    """Three ConfigMaps that want a number."""
    lab.wanted("a", "b", "c")


@behaviour(
    "numbered.give.all", level=MUST, spec="its handbook", red_when="an object gets no number", mutant="wish-lost"
)
def test_all_are_numbered(three: NumberedRecording) -> None:
    """Each object that wants a number gets one of its own."""
    assert sorted(three.numbers) == ["a", "b", "c"]
    assert len(set(three.numbers.values())) == 3
