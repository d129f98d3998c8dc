-- The log. Bodies are exact bytes; everything below "projections" can be rebuilt from them.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Keys the digests of requests: who has an export cannot find out by trying what a request said.
INSERT INTO meta (key, value) VALUES ('request_key', lower(hex(randomblob(32))));

CREATE TABLE events (
    idx INTEGER PRIMARY KEY,             -- place in the log, from 0
    subject INTEGER NOT NULL,            -- idx of the subject's first event
    version INTEGER NOT NULL,            -- 1 for the subject's first event
    leaf BLOB NOT NULL,                  -- leaf hash of the body: names the event that was changed
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_subject ON events (subject, version);

-- Content, salted. Erasing sets salt and data to NULL; the row stays.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,              -- idx of the event * 16 + slot
    salt BLOB,
    data BLOB
) STRICT;

-- Complete subtrees of the Merkle tree from level 8 (256 leaves) up.
CREATE TABLE nodes (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- The newest checkpoint, and what recovery compares clocks with.
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    note TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    boot TEXT NOT NULL,
    boot_ms INTEGER NOT NULL
) STRICT;

-- Checkpoints that are kept: one a minute, and every one that was given out.
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

-- Projections. Written by `project` alone.

-- Subjects that have no table of their own: host, objectives, accounts.
CREATE TABLE subjects (
    key INTEGER PRIMARY KEY,             -- idx of the first event
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (kind, id)
) STRICT;

-- Works that ask for the same share a queue.
CREATE TABLE queues (
    id INTEGER PRIMARY KEY,              -- idx of the first such submit
    owner INTEGER NOT NULL,
    agent TEXT NOT NULL,                 -- the only agent, or empty
    skills TEXT NOT NULL,                -- JSON list, sorted
    ready INTEGER NOT NULL,
    open INTEGER NOT NULL,               -- works that are not over
    UNIQUE (owner, agent, skills)
) STRICT;
CREATE INDEX queues_ready ON queues (owner, id) WHERE ready > 0;
CREATE INDEX queues_open ON queues (owner) WHERE open > 0;

CREATE TABLE works (
    key INTEGER PRIMARY KEY,             -- idx of the submit
    id BLOB NOT NULL UNIQUE,             -- 10 bytes
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,              -- place in WorkState::ALL
    owner INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    latest_start INTEGER NOT NULL,       -- wall ms, or the largest integer
    attempts INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    max_cost INTEGER,
    max_tokens INTEGER,
    spent INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0,
    reserved_tokens INTEGER NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    unmet INTEGER NOT NULL DEFAULT 0,
    parent INTEGER,                      -- key
    depth INTEGER NOT NULL DEFAULT 0,
    children INTEGER NOT NULL DEFAULT 0,
    dependants INTEGER NOT NULL DEFAULT 0,
    schedule INTEGER,                    -- key
    run INTEGER,                         -- key of the current or last run
    changed INTEGER NOT NULL,            -- wall ms
    changed_by INTEGER NOT NULL,         -- idx of the last event
    held INTEGER NOT NULL DEFAULT 0,
    breached INTEGER NOT NULL DEFAULT 0  -- bits: 1 start, 2 finish, 4 deadline; 8 start, 16 finish missed at the end
) STRICT;
CREATE INDEX works_ready ON works (queue, priority DESC, latest_start, key) WHERE state = 2;
CREATE INDEX works_state ON works (state, key);
CREATE INDEX works_owner ON works (owner, key);
CREATE INDEX works_parent ON works (parent) WHERE parent IS NOT NULL;
CREATE INDEX works_schedule ON works (schedule) WHERE schedule IS NOT NULL AND state < 7;

CREATE TABLE runs (
    key INTEGER PRIMARY KEY,             -- idx of the claim; with the incarnation it is the fence
    incarnation INTEGER NOT NULL,
    work INTEGER NOT NULL,               -- key
    attempt INTEGER NOT NULL,
    agent INTEGER NOT NULL,              -- key
    epoch INTEGER NOT NULL,
    outcome INTEGER NOT NULL,            -- 0 live, 1 verifying, 2 completed, 3 failed, 4 cancelled, 5 voided
    claimed_ms INTEGER NOT NULL,         -- wall
    boot TEXT NOT NULL,
    claimed_boot_ms INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    waiting TEXT,                        -- JSON of the wait reason
    ended_ms INTEGER,                    -- wall
    ended_by INTEGER,                    -- idx of the event that ended it
    result_by INTEGER,                   -- idx of the event whose blobs hold statement and result
    spent INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0,
    sources INTEGER NOT NULL DEFAULT 0   -- bits: 1 metered, 2 reported, 4 estimated
) STRICT;
CREATE INDEX runs_work ON runs (work, attempt);
CREATE INDEX runs_agent ON runs (agent, key);
CREATE INDEX runs_live ON runs (key) WHERE outcome = 0;

CREATE TABLE dependencies (
    on_work INTEGER NOT NULL,            -- key of the one that must complete
    work INTEGER NOT NULL,               -- key of the one that waits
    on_failure INTEGER NOT NULL,         -- 0 cancel, 1 block, 2 run
    status INTEGER NOT NULL,             -- 0 open, 1 met, 2 failed and blocking
    PRIMARY KEY (on_work, work)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_work ON dependencies (work);

CREATE TABLE labels (
    label TEXT NOT NULL,                 -- key=value
    work INTEGER NOT NULL,
    PRIMARY KEY (label, work)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    work INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    PRIMARY KEY (work, idx)
) STRICT, WITHOUT ROWID;

-- What wall time triggers.
CREATE TABLE timers (
    due INTEGER NOT NULL,                -- wall ms
    kind INTEGER NOT NULL,               -- 0 wake, 1 deadline, 2 start level, 3 finish level
    work INTEGER NOT NULL,
    PRIMARY KEY (due, kind, work)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_work ON timers (work);

-- What boot time triggers: the next attempt of a work.
CREATE TABLE backoffs (
    work INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    due_boot_ms INTEGER NOT NULL
) STRICT;

-- Works that ended, by the event that ended them.
CREATE TABLE ends (
    idx INTEGER PRIMARY KEY,
    work INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    state INTEGER NOT NULL
) STRICT;

CREATE TABLE counts (
    owner INTEGER NOT NULL,
    state INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (owner, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE breaches (
    idx INTEGER PRIMARY KEY,
    work INTEGER NOT NULL,
    owner INTEGER NOT NULL
) STRICT;

CREATE TABLE agents (
    key INTEGER PRIMARY KEY,             -- idx of the enrolment
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_before TEXT NOT NULL,
    owner INTEGER NOT NULL,
    shared INTEGER NOT NULL,
    agent_id TEXT NOT NULL,
    custody TEXT NOT NULL,
    public_key TEXT NOT NULL,
    key_revoked INTEGER NOT NULL DEFAULT 0,
    skills TEXT NOT NULL,                -- JSON list, sorted
    max_concurrency INTEGER NOT NULL,
    model TEXT,                          -- JSON
    epoch INTEGER NOT NULL,
    live INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    failures_in_a_row INTEGER NOT NULL DEFAULT 0,
    judged INTEGER NOT NULL DEFAULT 0,   -- in this epoch
    accepted INTEGER NOT NULL DEFAULT 0, -- in this epoch
    enrolled_ms INTEGER NOT NULL,
    reason TEXT
) STRICT;

-- Every key that an agent ever had; revocation is an index, never a time.
CREATE TABLE agent_keys (
    public_key TEXT PRIMARY KEY,
    agent INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,         -- log index
    valid_until INTEGER                  -- log index, exclusive
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    agent INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    skill TEXT NOT NULL,
    judged INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (agent, epoch, skill)
) STRICT, WITHOUT ROWID;

CREATE TABLE epochs (
    agent INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    idx INTEGER NOT NULL,                -- the event that began it
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    spent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (agent, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE account_limits (
    family TEXT PRIMARY KEY,             -- owner:1000/day
    max_cost INTEGER,
    max_tokens INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    name TEXT PRIMARY KEY,               -- owner:1000/day/2026-11-22
    spent INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
    idx INTEGER PRIMARY KEY,             -- of CostReserved
    run INTEGER NOT NULL,
    micro_usd INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    accounts TEXT NOT NULL               -- JSON list
) STRICT;
CREATE INDEX reservations_run ON reservations (run);

CREATE TABLE spending (
    day TEXT NOT NULL,
    owner INTEGER NOT NULL,
    agent INTEGER NOT NULL,
    source INTEGER NOT NULL,             -- as in runs.sources
    micro_usd INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (day, owner, agent, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
    key INTEGER PRIMARY KEY,             -- idx of the addition
    id BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    name TEXT NOT NULL,
    state INTEGER NOT NULL,              -- 0 active, 1 paused, 2 removed
    start INTEGER NOT NULL,              -- wall ms
    next INTEGER,                        -- wall ms
    last INTEGER,                        -- wall ms of the last tick dealt with
    last_by INTEGER,                     -- idx of the last ScheduleTicked
    submitted INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX schedules_name ON schedules (owner, name) WHERE state < 2;
CREATE INDEX schedules_next ON schedules (next) WHERE state = 0;

CREATE TABLE objectives (
    owner INTEGER NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE objective_days (
    owner INTEGER NOT NULL,
    name TEXT NOT NULL,
    day INTEGER NOT NULL,                -- days since 1970-01-01 UTC
    good INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    PRIMARY KEY (owner, name, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE frozen (
    scope TEXT PRIMARY KEY,              -- JSON
    idx INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    held_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE requests (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    first INTEGER NOT NULL,              -- idx of the command's first event
    events INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

-- Effects that are demanded and not finished.
CREATE TABLE outbox (
    effect INTEGER PRIMARY KEY,          -- idx of the event that demands it
    kind TEXT NOT NULL,
    work INTEGER NOT NULL
) STRICT;
