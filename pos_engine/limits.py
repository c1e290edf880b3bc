"""Bounds, each with its reason. A limit is a constant here or it does not exist."""

from __future__ import annotations

from typing import Final

FRAME_BYTES_MAX: Final = 2048
"""One frame. A UnionPay message with every field full stays below 2 KiB: a larger length is a mistake or an attack."""

AMOUNT_MINOR_MAX: Final = 999_999_999_999
"""Field 4 has twelve digits."""

STAN_MAX: Final = 999_999
"""Field 11 has six digits; 000000 is not used."""

BATCH_MAX: Final = 999_999
"""Field 60.2 has six digits; a host that hands out 000000 or 999999 is ignored."""

CONNECT_TIMEOUT_S: Final = 15.0
"""Seconds until a connection attempt is given up; 15 s is usual among UnionPay terminals."""

ANSWER_TIMEOUT_S: Final = 60.0
"""Seconds until silence is silence. The terminal's timer must be the longest in the chain; 60 s is usual."""

SIGN_ON_AGE_MAX_S: Final = 24 * 3600.0
"""Working keys older than a day are renewed before they are used again."""

SIGN_ON_LEAD_S: Final = 30 * 60.0
"""Half an hour before a sign-on ends it is renewed, so that a till which is never quiet still finds a quiet minute."""

FUTILE_SIGN_ONS_MAX: Final = 3
"""After so many sign-ons in a row that the host answered with another demand, the next one waits."""

CONTINGENCY_STEPS_MAX: Final = 8
CONTINGENCY_STEP_MAX_S: Final = 600.0
"""What a customer may be asked to wait for at one step of a contingency plan, and a cashier to sit through."""

SESSION_RECORDS_MAX: Final = 48
"""How far back futile sign-ons are looked for: by then the wait between two attempts has long reached its longest."""

SIGN_ONS_PER_CALL_MAX: Final = 2
"""A host that answers every request with "sign on first" is asked twice in one call, not forever."""

DUTIES_PER_CALL_MAX: Final = 64
"""Owed exchanges one call may work off, so that every call ends."""

BACKOFF_FIRST_S: Final = 5.0
"""Seconds before the second attempt of a duty; each further one waits twice as long."""

BACKOFF_MAX_S: Final = 3600.0
"""A duty that keeps failing is still tried every hour: it is never dropped."""

WAIT_MIN_S: Final = 0.001
"""A shorter wait is none: sums of seconds are not exact, and no clock shows that it has passed."""

UNRESOLVED_ATTEMPTS: Final = 3
"""A reversal that the host did not accept so often is for a person to look at; three is usual among UnionPay terminals.
It blocks what is new until then, and is tried on afterwards."""

DOWNLOAD_AGAIN_S: Final = 6 * 3600.0
"""A host that demands a download which has just ended is left alone so long: some never take the demand back."""

NOTES_MAX: Final = 16
"""Remarks kept on one record. A peer that floods us with foreign answers must not grow the journal."""

RECEIVE_BYTES_MAX: Final = 4096
"""Bytes taken from a link at once: two full frames, so one read never holds many frames in memory."""

DRAIN_READS_MAX: Final = 4
"""Reads spent on what a peer sent while nobody asked, before the connection is given up. A flood is not worth more."""

LEFTOVER_FRAMES_MAX: Final = 16
"""Frames without a request that a link keeps for its caller; the oldest go first."""

WAIT_SLICE_S: Final = 1.0
"""Longest single wait on a socket. The kernel's timer stands still in suspend, the engine's clock does not."""

KEYSTORE_BYTES_MAX: Final = 4096
"""A software keystore is a few hundred bytes of JSON; a larger file is another file."""

TLV_BYTES_MAX: Final = 2048
"""One block of BER-TLV. It stands in an element, an element in a frame, and a frame has no more."""

TLV_ITEMS_MAX: Final = 256
"""Items of one block, nested ones included: field 62 has 512 bytes, and an item that says anything takes two."""

TLV_DEPTH_MAX: Final = 5
"""EMV nests deepest where a payment system's directory names an application: 6F, A5, BF0C, 61, 4F."""

SHAPES_MAX: Final = 512
"""Sets of elements a dialect may declare for functions of their own. Each costs about a millisecond when it is first
used, so that a peer who sends every declared one costs half a second, once in the life of a process."""
