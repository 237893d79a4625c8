-- Keys: this home's own (one current, the retired ones kept for verifying) and the approvers'.
-- Private halves are never in here.
CREATE TABLE signing_key (
    id         INTEGER PRIMARY KEY NOT NULL,
    -- The key's id: SHA-256 of its 32 public bytes.
    key        TEXT UNIQUE NOT NULL,
    -- The 32 public bytes, 64 hexadecimal digits.
    public     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    state      TEXT NOT NULL,
    -- The approver key that vouched for this one, and its signature.
    vouched_by TEXT,
    vouch      TEXT,
    reason     TEXT,
    created_ms INTEGER NOT NULL,
    ended_ms   INTEGER
) STRICT;

-- The signature of an approval whose method is `key`; `id` is the approval's.
CREATE TABLE approval_signature (
    id        INTEGER PRIMARY KEY NOT NULL REFERENCES approval (id),
    key       TEXT NOT NULL REFERENCES signing_key (key),
    signature TEXT NOT NULL
) STRICT;
