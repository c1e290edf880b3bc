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

ROUTE_REST_FIRST_S: Final = 30.0
"""Seconds for which a road that could not be had is left alone the first time; each further time twice as long."""

ROUTE_REST_MAX_S: Final = 600.0
"""A road that keeps failing is tried again every ten minutes: the first one is the one that was paid for."""

ROUTES_MADE_MAX: Final = 8
"""Roads beside the configured ones, as a contingency plan names them: it has no more steps."""

ROUTE_FAILURES_MAX: Final = 16
"""Failures in a row that are counted; the longest rest is reached long before."""

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

STRAYS_MAX: Final = 4
"""Messages that answer something else, kept with one attempt of an exchange; the nearest ones stay. Each takes some 300
bytes of every later form of the record, and the room that is kept for outcomes is measured with them."""

STRAY_REQUESTS_MAX: Final = 8
"""How many of the newest requests a message without a STAN is compared with."""

STRAY_LOOKUPS_MAX: Final = 64
"""After so many messages too many in one attempt, those whose number is unknown are not compared with other requests
any more: a flood is not worth the time."""

NEAREST_S: Final = 180.0
"""How far in time a message may be from an answer that did not come: a host that needs longer has lost the request."""

NEAREST_RECORDS_MAX: Final = 16
"""How many records before and after a request are searched for what may have been its answer."""

RECEIVE_BYTES_MAX: Final = 4096
"""Bytes taken from a link at once: two full frames, so one read never holds many frames in memory."""

DRAIN_READS_MAX: Final = 4
"""Reads spent on what a peer sent while nobody asked, before the connection is given up. A flood is not worth more."""

LEFTOVER_FRAMES_MAX: Final = 16
"""Frames without a request that a link keeps for its caller; the oldest go first."""

TLS_HANDSHAKE_BYTES_MAX: Final = 131_072
"""What a host may send until the protected connection stands: OpenSSL itself takes chains of up to 100 KiB."""

TLS_FIRST_WORD_S: Final = (0.05, 1.0)
"""Least and most seconds spent on waiting whether a TLS 1.3 host takes back a handshake that looked complete."""

TLS_FILE_BYTES_MAX: Final = 1_048_576
"""A file of certificates. A whole system's store has about 250 KiB."""

HTTP_HEAD_BYTES_MAX: Final = 16_384
"""Status line and headers of an answer: twice what servers usually allow, for the cookies that gateways add."""

HTTP_BODY_BYTES_MAX: Final = 8192
"""The body of an answer: four full frames. Larger is a page for people, or an attack."""

HTTP_ANSWER_BYTES_MAX: Final = 65_536
"""All of an answer as it comes: chunks of one byte each cost six times their number, and interim answers count too."""

WAIT_SLICE_S: Final = 1.0
"""Longest single wait on a socket. The kernel's timer stands still in suspend, the engine's clock does not."""

LINE_RETRIES_MAX: Final = 3
"""Times a serial line's frame is repeated, and times in a row the peer's is refused; three is usual among terminals."""

LINE_ACK_S: Final = 2.0
"""Seconds until a frame that was neither acknowledged nor refused is repeated: a peer needs milliseconds, an adapter
at the end of a network some hundred."""

LINE_INTER_BYTE_S: Final = 0.3
"""Silence that ends what was coming in. Within a frame bytes follow each other without a pause; adapters that collect
them first make pauses of up to some tenths of a second."""

LINE_WAITING_MAX: Final = 16
"""Frames that wait for the line to acknowledge the one before. A peer that acknowledges nothing fails long before."""

LINE_DRAIN_CHECK_S: Final = 0.01
"""Longest pause between two looks at whether a serial line has sent what it was given: ten characters at 9600 baud."""

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
