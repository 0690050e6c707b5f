"""The web process, as gunicorn's `gthread` has it, but for how it leaves."""

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answer who has come already, and refuse others at once.

    gunicorn's own keeps the address while it answers its last requests, some seconds. Whoever
    connects meanwhile is taken by the kernel, waits, and gets a connection that breaks: a proxy
    cannot know that nobody has read the request, and may not send it to another node. Who is
    refused goes there at once.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or cease to accept; where it is the end, take in the last and close the door."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                self._take_in_who_waits(listener)
                listener.close()  # other processes of the node may have it still

    def _take_in_who_waits(self, listener: object) -> None:
        before = -1
        while before != self.nr_conns:
            before = self.nr_conns
            self.accept(listener)
