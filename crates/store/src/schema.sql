-- What Dockside keeps. Times are milliseconds since 1970; numbers of messages grow without gaps that matter.

-- How often the broker was started, and other facts about the file itself.
CREATE TABLE about (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every message that somebody waits for; it goes when nobody does any more.
CREATE TABLE message (
    seq         INTEGER PRIMARY KEY,
    topic       TEXT NOT NULL,
    qos         INTEGER NOT NULL,
    retain      INTEGER NOT NULL,
    -- Properties as they are on the wire, without topic alias and expiry.
    properties  BLOB NOT NULL,
    payload     BLOB NOT NULL,
    accepted_ms INTEGER NOT NULL,
    expires_ms  INTEGER
) STRICT;

-- Sessions that outlive their connection.
CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    client_id  TEXT NOT NULL,
    user       TEXT,
    -- How long it is kept without a connection, seconds.
    expiry_s   INTEGER NOT NULL,
    -- When it ends unless its client comes back; none while it is connected.
    expires_ms INTEGER
) STRICT;

CREATE TABLE subscription (
    session    INTEGER NOT NULL,
    filter     TEXT NOT NULL,
    -- The option byte of SUBSCRIBE (MQTT 5.0 section 3.8.3.1).
    options    INTEGER NOT NULL,
    identifier INTEGER NOT NULL,
    PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;

-- Groups of shared subscriptions, which are readers of messages like sessions.
CREATE TABLE share (
    id     INTEGER PRIMARY KEY,
    filter TEXT NOT NULL
) STRICT;

-- Which messages a reader (a session or a share) has not acknowledged yet, in their order.
CREATE TABLE queue (
    reader      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    qos         INTEGER NOT NULL,
    retain      INTEGER NOT NULL,
    -- Subscription identifiers, four bytes each, little endian.
    identifiers BLOB,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (reader, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_seq ON queue (seq);

-- Messages that were sent with a packet identifier that must be known after a restart.
CREATE TABLE outgoing (
    session     INTEGER NOT NULL,
    packet_id   INTEGER NOT NULL,
    -- None once the client has it (PUBREC).
    seq         INTEGER,
    -- They are sent again in this order.
    turn        INTEGER NOT NULL,
    qos         INTEGER NOT NULL,
    retain      INTEGER NOT NULL,
    identifiers BLOB,
    PRIMARY KEY (session, packet_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX outgoing_seq ON outgoing (seq) WHERE seq IS NOT NULL;

-- QoS 2 messages from clients that were not released yet.
CREATE TABLE incoming (
    session   INTEGER NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (session, packet_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE retained (
    topic TEXT PRIMARY KEY,
    seq   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX retained_seq ON retained (seq);

-- Wills of connections that have not ended yet, or whose delay is not over.
CREATE TABLE will (
    session    INTEGER PRIMARY KEY,
    client_id  TEXT NOT NULL,
    user       TEXT,
    topic      TEXT NOT NULL,
    qos        INTEGER NOT NULL,
    retain     INTEGER NOT NULL,
    properties BLOB NOT NULL,
    payload    BLOB NOT NULL,
    expiry_s   INTEGER,
    delay_s    INTEGER NOT NULL
) STRICT;

-- Events of gateways that were answered, in their order. Without more indexes: each would cost every event.
CREATE TABLE event (
    id          INTEGER PRIMARY KEY,
    received_ms INTEGER NOT NULL,
    gateway     TEXT NOT NULL,
    method      TEXT NOT NULL,
    tid         TEXT NOT NULL,
    -- Flight task, and what the event says of it.
    task        TEXT,
    status      TEXT,
    step        INTEGER,
    percent     INTEGER,
    result      INTEGER,
    -- Of gateway, tid and payload: repetitions have the same.
    key         BLOB NOT NULL,
    payload     BLOB NOT NULL
) STRICT;

-- How each flight task stands, as its events say up to the one that about.flight_task_event names; a second behind them at
-- most while a broker runs.
CREATE TABLE flight_task (
    gateway       TEXT NOT NULL,
    task          TEXT NOT NULL,
    status        TEXT,
    step          INTEGER,
    percent       REAL,
    waypoint      INTEGER,
    wayline       INTEGER,
    mission_state INTEGER,
    media_count   INTEGER,
    -- Why it was interrupted last.
    break_reason  INTEGER,
    result        INTEGER,
    track         TEXT,
    -- The device's own time of what it said last.
    device_ms     INTEGER,
    first_ms      INTEGER NOT NULL,
    last_ms       INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    -- Events that were older than what was known, and how often it went on after it was over.
    late          INTEGER NOT NULL DEFAULT 0,
    reopened      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway, task)
) STRICT, WITHOUT ROWID;

-- Gateways as they were last heard of.
CREATE TABLE dock (
    gateway   TEXT PRIMARY KEY,
    -- `domain`, `type` and `sub_type` of update_topo.
    domain    INTEGER,
    type      INTEGER,
    sub_type  INTEGER,
    firmware  TEXT,
    -- Serial numbers of its aircraft, a space between two.
    aircraft  TEXT NOT NULL,
    first_ms  INTEGER NOT NULL,
    last_ms   INTEGER NOT NULL,
    -- The gateway's clock less the broker's.
    offset_ms INTEGER,
    events    INTEGER NOT NULL,
    replies   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what: rows are added, and go when they are too old or too many, but never change.
CREATE TABLE audit (
    id        INTEGER PRIMARY KEY,
    time_ms   INTEGER NOT NULL,
    -- services, services_reply, property/set, property/set_reply, login, reload, clock and so on.
    what      TEXT NOT NULL,
    client_id TEXT,
    user      TEXT,
    address   TEXT,
    gateway   TEXT,
    method    TEXT,
    tid       TEXT,
    -- Code of a reply; 0 is well.
    result    INTEGER
) STRICT;
