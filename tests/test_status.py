"""The words of a status are part of every stored record: they must not change."""

import json

from pipeline.status import Status


def test_a_status_is_its_text_in_records_and_messages():
    assert [status.value for status in Status] == ["ok", "diverged", "oom", "not run"]
    assert json.dumps({"status": Status.OUT_OF_MEMORY}) == '{"status": "oom"}'
    assert (
        f"{Status.OK}" == "ok" and json.loads('"diverged"') == Status.DIVERGED and Status("oom") is Status.OUT_OF_MEMORY
    )
