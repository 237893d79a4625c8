-- A draft that was used before a person decided on it: once for its very bytes, by the run that
-- made it. Written before it runs, so that a crash cannot give a second use.
CREATE TABLE provisional_use (
    id        INTEGER PRIMARY KEY NOT NULL,
    approval  INTEGER NOT NULL UNIQUE REFERENCES approval (id),
    tool      INTEGER NOT NULL REFERENCES tool_version (id),
    subject   TEXT NOT NULL UNIQUE,
    run       TEXT NOT NULL UNIQUE REFERENCES run (id),
    -- The person who asked for it.
    asked_by  TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL,
    -- The last call that was made under it; NULL where none came that far.
    last_call INTEGER REFERENCES invocation (id)
) STRICT;

-- Each call asks for the last event that changed the library, and each call is an event.
CREATE INDEX event_library ON event (seq) WHERE kind IN ('tool_registered', 'tool_state_changed');
