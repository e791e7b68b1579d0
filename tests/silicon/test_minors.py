from __future__ import annotations

from gpuassay.silicon import minors


def test_numbers_are_those_of_the_driver() -> None:
    """Red if a container's capability devices would be read as another slice."""
    assert (minors.gpu_instance_minor(0, 0), minors.compute_instance_minor(0, 0, 0)) == (3, 4)
    assert (minors.gpu_instance_minor(0, 7), minors.compute_instance_minor(0, 7, 0)) == (66, 67)
    assert minors.gpu_instance_minor(1, 0) == 138


def test_every_number_leads_back_to_its_instance() -> None:
    """Red if two instances share a number, or a number names the wrong one."""
    listed = list(minors.capabilities(3))
    assert len({minor for _, minor in listed}) == len(listed)
    for name, minor in listed:
        found = minors.instance_of(minor)
        if not name.startswith("gpu"):
            assert found is None
            continue
        assert found is not None
        gpu, instance, compute = found
        inner = "" if compute is None else f"ci{compute}/"
        assert name == f"gpu{gpu}/gi{instance}/{inner}access"
