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
