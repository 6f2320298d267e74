-- Flight tasks with all that their events say. Schema 1 let them follow with every event.
CREATE TABLE flight_task_2 (
    gateway       TEXT NOT NULL,
    task          TEXT NOT NULL,
    status        TEXT,
    step          INTEGER,
    percent       REAL,
    waypoint      INTEGER,
    wayline       INTEGER,
    mission_state INTEGER,
    media_count   INTEGER,
    break_reason  INTEGER,
    result        INTEGER,
    track         TEXT,
    device_ms     INTEGER,
    first_ms      INTEGER NOT NULL,
    last_ms       INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    late          INTEGER NOT NULL DEFAULT 0,
    reopened      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway, task)
) STRICT, WITHOUT ROWID;
INSERT INTO flight_task_2 (gateway, task, status, step, percent, result, first_ms, last_ms, events, late, reopened)
    SELECT gateway, task, status, step, percent, result, first_ms, last_ms, events, 0, 0 FROM flight_task;
DROP TABLE flight_task;
ALTER TABLE flight_task_2 RENAME TO flight_task;
INSERT INTO about (name, value) VALUES ('flight_task_event', coalesce((SELECT max(id) FROM event), 0))
    ON CONFLICT (name) DO NOTHING;
