-- Programs that agentd starts.

-- Works that only agents can do that agentd starts have queues of their own.
CREATE TABLE queues_2 (
    id INTEGER PRIMARY KEY,              -- idx of the first such submit
    owner INTEGER NOT NULL,
    agent TEXT NOT NULL,                 -- the only agent, or empty
    skills TEXT NOT NULL,                -- JSON list, sorted
    started INTEGER NOT NULL,            -- 1 where only agents with a program can take them
    ready INTEGER NOT NULL,
    open INTEGER NOT NULL,               -- works that are not over
    UNIQUE (owner, agent, skills, started)
) STRICT;
INSERT INTO queues_2 SELECT id, owner, agent, skills, 0, ready, open FROM queues;
DROP TABLE queues;
ALTER TABLE queues_2 RENAME TO queues;
CREATE INDEX queues_ready ON queues (owner, id) WHERE ready > 0;
CREATE INDEX queues_open ON queues (owner) WHERE open > 0;

ALTER TABLE agents ADD COLUMN program INTEGER;  -- idx of the event that bound it; NULL where the agent comes by itself

-- What became of the programs of runs.
CREATE TABLE programs (
    run INTEGER PRIMARY KEY,             -- key
    started INTEGER,                     -- idx of RunStarted
    ended INTEGER,                       -- idx of RunEnded
    wall_ms INTEGER NOT NULL DEFAULT 0,
    user_us INTEGER NOT NULL DEFAULT 0,
    system_us INTEGER NOT NULL DEFAULT 0,
    peak_bytes INTEGER NOT NULL DEFAULT 0,
    read_bytes INTEGER NOT NULL DEFAULT 0,
    written_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What the criteria said of what the runs of a work begin with.
CREATE TABLE bases (
    work INTEGER PRIMARY KEY,            -- key
    idx INTEGER NOT NULL
) STRICT;
