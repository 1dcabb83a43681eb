-- What the orchestrator itself needs in the database. Run it as the master user on the writer;
-- it may be run again at any time, and replication carries it to the standby region.

-- The monitor may connect, ask whether it reached a writer, and prove a recovery. Nothing else.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') THEN
        CREATE ROLE monitor LOGIN;
    END IF;
    -- On Aurora this role turns on IAM authentication; elsewhere it does not exist.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO monitor;
    END IF;
END $$;

-- VerifyRecovery writes one row per run through the public writer name: a run recovers only when a
-- real write has succeeded. The run's name is the key, so a repeated step writes nothing twice.
CREATE TABLE IF NOT EXISTS recovery_proof (
    run       text PRIMARY KEY,
    epoch     bigint NOT NULL,
    proved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- SELECT as well: "ON CONFLICT (run)" and "RETURNING" read the table.
GRANT SELECT, INSERT ON recovery_proof TO monitor;
