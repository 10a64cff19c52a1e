"""QEMU's monitor (QMP): stop, save, load, go on."""

from __future__ import annotations

import json
import socket
import time
from types import TracebackType
from typing import Any

from tracer.errors import LabError

LOAD_S = 5.0
_LOOK_S = 0.002
# RAM lies in a file that both sides map: only devices and the processor travel.
_RAM_STAYS = [{"capability": "x-ignore-shared", "state": True}]


class Monitor:
    """A conversation with QEMU.

    Raises:
        LabError: QEMU ended, or refuses; from every method.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(LOAD_S)
        self._answers = connection.makefile("rb")
        self._read()  # it speaks first
        self.ask("qmp_capabilities")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.close()
        self._socket.close()

    def ask(self, command: str, descriptors: tuple[int, ...] = (), **arguments: object) -> Any:
        """Give a command, with descriptors beside it, and wait for its answer."""
        message = json.dumps({"execute": command, "arguments": arguments}).encode()
        try:
            socket.send_fds(self._socket, [message], list(descriptors))
        except OSError as error:
            raise LabError("QEMU is gone", str(error)) from error
        while True:
            answer = self._read()
            if "error" in answer:
                raise LabError(f"QEMU refuses {command}", str(answer["error"].get("desc")))
            if "return" in answer:
                return answer["return"]

    def _read(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except OSError as error:
            raise LabError("QEMU does not answer", str(error)) from error
        if not line:
            raise LabError("QEMU is gone", "it closed its monitor")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def save(self, state: int) -> None:
        """Stop the guest and write all but its RAM to this descriptor; `cont` goes on."""
        self.ask("stop")
        self.ask("migrate-set-capabilities", capabilities=_RAM_STAYS)
        self.ask("getfd", (state,), fdname="state")
        self.ask("migrate", uri="fd:state")
        self._wait_until("completed")

    def load(self, state: int) -> None:
        """Have the guest go on as it was saved: QEMU waits for that (`-incoming defer`) and inherited `state`."""
        self.ask("migrate-set-capabilities", capabilities=_RAM_STAYS)
        self.ask("migrate-incoming", uri=f"fd:{state}")
        deadline = time.monotonic() + LOAD_S
        while (status := self.ask("query-status")["status"]) == "inmigrate":
            if time.monotonic() > deadline:
                raise LabError(f"QEMU did not load the snapshot within {LOAD_S:g} s")
            time.sleep(_LOOK_S)
        if status != "running":
            self.ask("cont")

    def _wait_until(self, wanted: str) -> None:
        while (status := self.ask("query-migrate").get("status")) != wanted:
            if status in ("failed", "cancelled"):
                raise LabError("QEMU could not save the guest", str(self.ask("query-migrate").get("error-desc", "")))
            time.sleep(_LOOK_S)
