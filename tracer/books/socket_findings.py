"""What an expert would say of a recording of sockets: a table of rules, each with its evidence. Pure."""

from __future__ import annotations

import msgspec

from tracer.books import rules_of_queues, rules_of_sizes, rules_of_watching, rules_of_zerocopy
from tracer.model.socket_recording import SocketRecording

# In the order of a report: what was seen at all, what was asked for and not got, what could be better.
RULES = (*rules_of_watching.RULES, *rules_of_zerocopy.RULES, *rules_of_queues.RULES, *rules_of_sizes.RULES)


def findings_of(recording: SocketRecording) -> SocketRecording:
    """The same recording, with its findings."""
    found = [finding for rule in RULES for finding in rule.findings(recording)]
    return msgspec.structs.replace(recording, findings=found)
