"""The states of a submission, the steps that are allowed between them, and their words."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a submission stands. The log stores these words.

    Examples
    --------
    >>> State("stored") is State.STORED
    True
    """

    QUEUED = "queued"
    PREPARED = "prepared"
    SENDING = "sending"
    PROCESSING = "processing"
    STALLED = "stalled"
    COMPLETED = "completed"
    STORED = "stored"
    FAILED = "failed"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


# Never paid for: the same intent may be prepared again.
NEVER_PAID = frozenset({State.NOT_SENT, State.ABANDONED, State.REJECTED})
# Something is still going on here.
OPEN = frozenset({State.PREPARED, State.SENDING, State.PROCESSING, State.STALLED, State.COMPLETED})
# The service works on it, or has worked on it and the files are not here yet.
RUNNING = frozenset({State.PROCESSING, State.STALLED, State.COMPLETED})
# Nothing more happens by itself.
DONE = frozenset({State.STORED, State.FAILED, State.UNKNOWN, *NEVER_PAID})

# From `unknown` a row leaves only by a late answer of its own request, by a task id that the
# service confirms, or by a person who knows that nothing was created.
STEPS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PREPARED, State.ABANDONED}),
    State.PREPARED: frozenset({State.SENDING, State.QUEUED, State.NOT_SENT, State.ABANDONED}),
    State.SENDING: frozenset(
        {State.PROCESSING, State.REJECTED, State.NOT_SENT, State.PREPARED, State.UNKNOWN}
    ),
    State.UNKNOWN: frozenset({State.PROCESSING, State.REJECTED, State.NOT_SENT, State.ABANDONED}),
    State.PROCESSING: frozenset({State.COMPLETED, State.FAILED, State.STALLED}),
    State.STALLED: frozenset({State.PROCESSING, State.COMPLETED, State.FAILED}),
    State.COMPLETED: frozenset({State.STORED}),
    **dict.fromkeys(NEVER_PAID, frozenset({State.PREPARED})),
}

WORDS: dict[str, str] = {
    State.QUEUED: "Waiting",
    State.PREPARED: "Ready to send",
    State.SENDING: "Sending",
    State.PROCESSING: "In progress",
    State.STALLED: "Taking unusually long",
    State.COMPLETED: "Downloading",
    State.STORED: "Ready",
    State.FAILED: "Failed",
    State.REJECTED: "Refused",
    State.NOT_SENT: "Not sent",
    State.UNKNOWN: "Outcome unknown",
    State.ABANDONED: "Cancelled",
}

OUTCOME_UNKNOWN = (
    "Outcome unknown: this video may have started and been charged. Nothing was sent again."
)
