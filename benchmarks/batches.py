"""A CRM that takes batches: `python -m benchmarks.batches` prints its port.

Segment's sandbox, which keeps a profile of each member. `GET /` is answered with what has arrived,
as JSON.
"""

import re

from benchmarks.sink import Arrivals
from crm_sync.sandboxes.segment import Segment
from crm_sync.sandboxes.server import Call, Reply

_ID = re.compile(r"evt_([0-9a-f]{32})_(\d+)")


class Crm(Segment):
    """Segment, with an eye on the ids of events."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps_calls = False
        self.arrivals = Arrivals()

    def answer(self, call: Call) -> Reply | None:
        """Count, and answer as ever."""
        if call.method == "GET":
            return Reply(body=self.arrivals.counts)
        for message in call.body["batch"]:
            if found := _ID.fullmatch(message["messageId"]):
                self.arrivals.note(found[1].encode(), int(found[2]))
        return super().answer(call)


if __name__ == "__main__":
    crm = Crm()
    print(crm.port, flush=True)
    crm.serve_forever()
