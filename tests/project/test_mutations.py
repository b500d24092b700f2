"""The faults of `tests.mutations` can be made, and each room has one."""

import pytest

from mutations import FAULTS, ROOT, breaks


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_s_text_is_there_once_and_its_tests_exist(name):
    fault = FAULTS[name]
    changed = breaks(fault, ROOT / "lib" / "xgrl")
    assert fault.wrong in changed and fault.wrong != fault.right
    compile(changed, fault.file, "exec")
    for test in fault.tests:
        assert (ROOT / "tests" / test).exists() or any((ROOT / "notebooks").glob(f"{test}_*.ipynb"))


def test_every_room_has_faults():
    rooms = {path.name for path in (ROOT / "lib/xgrl").iterdir() if (path / "__init__.py").exists()}
    assert {fault.file.partition("/")[0] for fault in FAULTS.values()} == rooms
