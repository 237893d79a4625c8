-- Digests are 64 hexadecimal digits, times are milliseconds since the Unix epoch, JSON is text.
-- Every row of tool_version, approval, run, attempt, exchange and invocation is vouched for by
-- the last journal event that names it in `detail.rows`.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

-- Bytes by their digest: code, specs, prompts, replies, diffs. Never changed, never deleted.
CREATE TABLE blob (
    digest TEXT PRIMARY KEY NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE event (
    seq     INTEGER PRIMARY KEY NOT NULL,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    actor   TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    prev    TEXT NOT NULL,
    hash    TEXT NOT NULL
) STRICT;

-- The last event that recorded a row: a shortcut for the check before every run. `verify` does
-- not read it; it folds the journal itself.
CREATE TABLE row_event (
    row TEXT PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

CREATE TABLE run (
    id         TEXT PRIMARY KEY NOT NULL,
    task       TEXT NOT NULL REFERENCES blob (digest),
    question   TEXT NOT NULL,
    state      TEXT NOT NULL,
    plan       TEXT REFERENCES blob (digest),
    route      TEXT,
    answer     TEXT REFERENCES blob (digest),
    stopped_by TEXT,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

-- What a run has already paid for or decided.
CREATE TABLE step (
    run    TEXT NOT NULL REFERENCES run (id),
    key    TEXT NOT NULL,
    value  TEXT NOT NULL REFERENCES blob (digest),
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) STRICT;

CREATE TABLE attempt (
    id      INTEGER PRIMARY KEY NOT NULL,
    run     TEXT NOT NULL REFERENCES run (id),
    n       INTEGER NOT NULL,
    draft   TEXT REFERENCES blob (digest),
    trial   TEXT REFERENCES blob (digest),
    verdict TEXT REFERENCES blob (digest),
    stderr  TEXT NOT NULL REFERENCES blob (digest),
    diff    TEXT NOT NULL REFERENCES blob (digest),
    at_ms   INTEGER NOT NULL,
    UNIQUE (run, n)
) STRICT;

CREATE TABLE exchange (
    id         INTEGER PRIMARY KEY NOT NULL,
    run        TEXT NOT NULL REFERENCES run (id),
    key        TEXT NOT NULL,
    role       TEXT NOT NULL,
    model      TEXT NOT NULL,
    prompt     TEXT NOT NULL REFERENCES blob (digest),
    reply      TEXT NOT NULL REFERENCES blob (digest),
    tokens_in  INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL,
    ms         INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    UNIQUE (run, key)
) STRICT;

CREATE TABLE tool_version (
    id         INTEGER PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    state      TEXT NOT NULL,
    subject    TEXT NOT NULL,
    profile    TEXT NOT NULL,
    recipe     TEXT,
    code       TEXT NOT NULL REFERENCES blob (digest),
    spec       TEXT NOT NULL REFERENCES blob (digest),
    cases      TEXT NOT NULL REFERENCES blob (digest),
    -- {"name": digest of the bytes}
    assets     TEXT NOT NULL,
    provenance TEXT NOT NULL REFERENCES blob (digest),
    trial      TEXT NOT NULL REFERENCES blob (digest),
    verdict    TEXT NOT NULL REFERENCES blob (digest),
    -- The in-toto statement; made when it is registered.
    evidence   TEXT REFERENCES blob (digest),
    author     TEXT NOT NULL,
    why        TEXT NOT NULL,
    run        TEXT REFERENCES run (id),
    successor  TEXT,
    created_ms INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;
CREATE INDEX tool_recipe ON tool_version (recipe) WHERE recipe IS NOT NULL;

CREATE TABLE approval (
    id            INTEGER PRIMARY KEY NOT NULL,
    tool          INTEGER NOT NULL REFERENCES tool_version (id),
    subject       TEXT NOT NULL,
    run           TEXT REFERENCES run (id),
    state         TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    -- Who decided, how, when; NULL while it waits.
    approver      TEXT,
    method        TEXT,
    self_approved INTEGER,
    decided_ms    INTEGER,
    reason        TEXT,
    -- The approval that took its place, where an edited draft was proposed again.
    superseded_by INTEGER REFERENCES approval (id)
) STRICT;
CREATE INDEX approval_tool ON approval (tool);

CREATE TABLE invocation (
    id         INTEGER PRIMARY KEY NOT NULL,
    tool       INTEGER NOT NULL REFERENCES tool_version (id),
    run        TEXT REFERENCES run (id),
    input      TEXT NOT NULL,
    output     TEXT,
    outcome    TEXT NOT NULL,
    runtime_us INTEGER NOT NULL,
    cpu_us     INTEGER NOT NULL,
    rss_kib    INTEGER NOT NULL,
    layers     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX invocation_tool ON invocation (tool);

-- rowid is tool_version.id; holds active versions only.
CREATE VIRTUAL TABLE tool_search USING fts5 (
    name, description, domain, properties, cases, why,
    tokenize = 'porter unicode61'
);
