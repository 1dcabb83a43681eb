-- What the orchestrator itself needs in the database. Run it as the master user on the writer;
-- it may be run again at any time, and replication carries it to the standby region.

-- Whatever the database's own search_path is: the functions below look here.
SET LOCAL search_path = public;

-- `application` is the group of everybody who may write: grant it to the applications' login roles.
-- `monitor` may connect, ask whether it reached a writer, leave heartbeats, prove a recovery, fence, and export what a
-- fenced writer has that was never replicated. Nothing else.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'application') THEN
        CREATE ROLE application NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') THEN
        CREATE ROLE monitor LOGIN;
    END IF;
    -- On Aurora this role turns on IAM authentication; elsewhere it does not exist.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO monitor;
    END IF;
    -- Applications that have taken all connections leave it those of the parameter `reserved_connections`. On Aurora the
    -- master user is said to be able to grant this; the bootstrap's answer says whether he was.
    BEGIN
        GRANT pg_use_reserved_connections TO monitor;
    EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
        RAISE WARNING 'no connections are reserved for the monitor: %', SQLERRM;
    END;
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

-- The guardian commits a heartbeat with every tick. What the standby has replicated of them says what a
-- promotion would lose. `lease` is the end of the writer's lease (seconds since 1970) as far as a guardian knew:
-- one that starts, and does not see the control record, learns it here.
CREATE TABLE IF NOT EXISTS heartbeat (
    id    integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    seq   bigint NOT NULL,
    at    timestamptz NOT NULL,
    lease double precision
);
INSERT INTO heartbeat (seq, at) VALUES (0, clock_timestamp()) ON CONFLICT (id) DO NOTHING;
GRANT SELECT ON heartbeat TO monitor;

CREATE OR REPLACE FUNCTION heartbeat(known_lease double precision, OUT seq bigint, OUT at double precision)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE heartbeat AS beat
    SET seq = beat.seq + 1, at = clock_timestamp(), lease = greatest(beat.lease, known_lease)
    RETURNING beat.seq, extract(epoch FROM beat.at)::double precision
$$;

-- Up to when a standby has the writer's commits; NULL where it cannot say. On Aurora: what its storage says of the
-- standby's region (Aurora guide, "aurora_global_db_status", which any instance of a global database answers). Elsewhere,
-- as in the lab: when the writer committed the last transaction that was replayed.
CREATE OR REPLACE FUNCTION replicated_until(region text) RETURNS double precision
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    until double precision;
BEGIN
    IF to_regproc('aurora_global_db_status') IS NULL THEN
        RETURN extract(epoch FROM pg_last_xact_replay_timestamp());
    END IF;
    EXECUTE 'SELECT extract(epoch FROM last_lag_calculation_time)'
        '    - greatest(durability_lag_in_msec, rpo_lag_in_msec) / 1000.0'
        ' FROM aurora_global_db_status()'
        -- -1 marks the primary, for which no lag is calculated.
        ' WHERE aws_region = $1 AND least(durability_lag_in_msec, rpo_lag_in_msec) >= 0'
        INTO until USING region;
    RETURN until;
END $$;
REVOKE ALL ON FUNCTION replicated_until(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION replicated_until(text) TO monitor;

-- The fence. It is data, so it replicates; a promotion lifts it on the new writer. A default of read-only would be
-- no fence: any session can undo it. Every fence has a new number, even when one stands already; a lift names the
-- number that it lifts and the moment until which it counts, so that one that is late lifts nothing.
-- `admitted` is the start of the server that was let take writes last. A server that has started since is fenced until
-- a guardian has renewed the lease: it may be an old writer that comes back and knows nothing of the new one.
CREATE TABLE IF NOT EXISTS fence (
    id       integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    number   bigint NOT NULL,
    fenced   boolean NOT NULL,
    reason   text NOT NULL,
    at       timestamptz NOT NULL,
    admitted timestamptz
);
INSERT INTO fence (number, fenced, reason, at, admitted)
    VALUES (0, false, 'made', clock_timestamp(), pg_postmaster_start_time()) ON CONFLICT (id) DO NOTHING;
GRANT SELECT ON fence TO monitor;

-- Since when the fence stands, by the server's own clock, with which sessions are compared.
ALTER TABLE fence ADD COLUMN IF NOT EXISTS stands_since timestamptz NOT NULL DEFAULT now();
-- How often it was lifted. A fence that is put up again while it stands, as each guardian may do, is no other state.
ALTER TABLE fence ADD COLUMN IF NOT EXISTS lifts bigint NOT NULL DEFAULT 0;

-- The cluster's other databases while the fence stands, and how many connections each may have without it.
CREATE TABLE IF NOT EXISTS closed_database (
    name             name PRIMARY KEY,
    connection_limit integer NOT NULL
);

-- A server before PostgreSQL 17 has no login triggers, and is open when it starts. What is not known counts as fenced:
-- without its row nobody knows whether the fence stands, and nobody can lift it before this script has run again.
CREATE OR REPLACE FUNCTION is_fenced() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce((
        SELECT fenced OR NOT pg_is_in_recovery() AND admitted IS DISTINCT FROM pg_postmaster_start_time()
            AND EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'refuse_while_fenced' AND evtenabled <> 'D')
        FROM fence
    ), true)
$$;

-- Everybody is refused but the monitor, superusers and the database's owner, who may have to repair it. Readers are let
-- in everywhere.
CREATE OR REPLACE FUNCTION refuse_while_fenced() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT pg_is_in_recovery() AND is_fenced() AND session_user <> 'monitor'
        AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
        AND session_user <> (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database())
    THEN
        RAISE EXCEPTION 'this server is fenced from applications' USING
            ERRCODE = 'cannot_connect_now',
            HINT = 'It is not the writer, or has just started; connect by the writer name again.';
    END IF;
END $$;

DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'refuse_while_fenced') THEN
            EXECUTE 'CREATE EVENT TRIGGER refuse_while_fenced ON login EXECUTE FUNCTION refuse_while_fenced()';
        END IF;
        -- Also for a role whose sessions begin as those of replication do; and again, where somebody has disabled it.
        EXECUTE 'ALTER EVENT TRIGGER refuse_while_fenced ENABLE ALWAYS';
    END IF;
END $$;

-- The bootstrap refuses a cluster with other databases of applications. One that was created since, and those that every
-- cluster has, let nobody but superusers in while the fence stands.
CREATE OR REPLACE FUNCTION close_other_databases() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    other record;
BEGIN
    FOR other IN
        SELECT datname, datconnlimit FROM pg_database
        -- -2 is one whose DROP was broken off: nobody can connect to it, and to alter it would end this session.
        WHERE datallowconn AND datconnlimit NOT IN (0, -2) AND datname NOT IN (current_database(), 'rdsadmin')
    LOOP
        BEGIN
            EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', other.datname);
            INSERT INTO closed_database VALUES (other.datname, other.datconnlimit)
                ON CONFLICT (name) DO UPDATE SET connection_limit = other.datconnlimit;
        EXCEPTION WHEN insufficient_privilege OR invalid_catalog_name THEN
            -- Dropped this moment, or somebody else's. Sessions there are ended like all others; no fence is complete
            -- while there is one.
            RAISE WARNING 'the database % cannot be closed: %', other.datname, SQLERRM;
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION open_other_databases() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    other record;
BEGIN
    FOR other IN DELETE FROM closed_database RETURNING * LOOP
        IF EXISTS (SELECT FROM pg_database WHERE datname = other.name AND datconnlimit <> -2) THEN
            BEGIN
                EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT %s', other.name, other.connection_limit);
            EXCEPTION WHEN insufficient_privilege OR invalid_catalog_name THEN
                -- It was given to somebody else meanwhile, who can open it. The writer must not stay closed for it.
                RAISE WARNING 'the database % cannot be opened: %', other.name, SQLERRM;
            END;
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION fence_application(why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE fence
        SET number = number + 1, fenced = true, reason = why, at = clock_timestamp(),
            stands_since = statement_timestamp();
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC, application', current_database());
    PERFORM close_other_databases();
END $$;

-- The sessions of clients that could write, in any database of the cluster: all but those of the monitor and of
-- superusers (on Aurora AWS's own). The owner's are ended by a fence like all others, and those that he opens behind it,
-- to repair something, count no more.
CREATE OR REPLACE FUNCTION application_sessions() RETURNS TABLE (pid integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT session.pid
    FROM pg_stat_activity AS session JOIN pg_roles ON pg_roles.oid = usesysid
    WHERE backend_type = 'client backend' AND usename <> 'monitor' AND NOT rolsuper
      AND NOT (
          datname = current_database()
          AND usesysid = (SELECT datdba FROM pg_database WHERE datname = current_database())
          AND backend_start > (
              SELECT CASE WHEN fenced THEN stands_since ELSE pg_postmaster_start_time() END FROM fence
              WHERE is_fenced()
          )
      ) IS TRUE
$$;

-- Ends them; returns how many there were.
CREATE OR REPLACE FUNCTION end_application_sessions() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(pg_terminate_backend(pid)) FROM application_sessions()
$$;

-- Returns whether it lifted. `until` is in seconds since 1970. The row's lock lets one fence or lift work at a time.
CREATE OR REPLACE FUNCTION lift_fence(expected bigint, until double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM fence FOR UPDATE;
    UPDATE fence
        SET fenced = false, reason = 'lifted', at = clock_timestamp(), admitted = pg_postmaster_start_time(),
            lifts = lifts + 1
        WHERE is_fenced() AND number = expected AND extract(epoch FROM clock_timestamp()) < until;
    IF FOUND THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO application', current_database());
        PERFORM open_other_databases();
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Salvage: what an old writer has committed and the new one lacks. Rows are given by a fenced server only, and only those
-- of transactions that may not have been replicated; the new writer gives fingerprints of the rows it is asked for.

-- The tables of the application, by the names that their callers use. A view, so that one table is found by its id
-- without the list of all.
CREATE OR REPLACE VIEW salvage_source AS
    SELECT t.oid AS id, format('%I.%I', nspname, relname) AS name
    FROM pg_class AS t JOIN pg_namespace AS s ON s.oid = relnamespace
    WHERE relkind = 'r' AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema')
      AND t.oid NOT IN (
          'heartbeat'::regclass, 'fence'::regclass, 'closed_database'::regclass, 'recovery_proof'::regclass
      );
REVOKE ALL ON salvage_source FROM PUBLIC;

CREATE OR REPLACE FUNCTION salvage_tables() RETURNS TABLE (name text, keyed boolean, blocks bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT name, EXISTS (SELECT FROM pg_index WHERE indrelid = id AND indisprimary),
           pg_relation_size(id) / current_setting('block_size')::bigint
    FROM salvage_source ORDER BY name
$$;

-- What the old writer was like: the same for as long as its fence was not lifted, and no table was written or emptied.
CREATE OR REPLACE FUNCTION salvage_mark() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 'lifted ' || lifts || ' times, ' || (
        SELECT md5(coalesce(string_agg(concat_ws(' ', id, pg_relation_filenode(id), pg_stat_get_tuples_inserted(id),
                   pg_stat_get_tuples_updated(id), pg_stat_get_tuples_deleted(id)), ',' ORDER BY id), ''))
        FROM salvage_source
    )
    FROM fence WHERE is_fenced()
$$;

-- The table of a name out of that list, and no other. Every page asks for it, so it must not cost the whole list.
CREATE OR REPLACE FUNCTION salvage_table(table_name text) RETURNS regclass
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found regclass := (SELECT id FROM salvage_source WHERE id = to_regclass(table_name) AND name = table_name);
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION '% is no table of the application', table_name USING ERRCODE = 'undefined_table';
    END IF;
    RETURN found;
END $$;

-- SQL that makes the key of a row r of a table as a JSON object; NULL without a primary key.
CREATE OR REPLACE FUNCTION salvage_key(table_name text) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT 'jsonb_build_object(' || string_agg(format('%L, r.%I', attname, attname), ', ' ORDER BY attnum) || ')'
    FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
    WHERE indrelid = salvage_table(table_name) AND indisprimary
$$;

-- SQL that chooses the rows r between two tuple ids whose transaction may not have been replicated.
CREATE OR REPLACE FUNCTION salvage_rows(table_name text, horizon bigint, behind text, before text) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT format('FROM %s AS r WHERE r.ctid > %L::tid AND r.ctid < %L::tid', salvage_table(table_name), behind, before)
        -- A transaction id in a row has 32 bits; age() compares them round the corner.
        || CASE WHEN horizon IS NULL THEN ''
           ELSE format(' AND age(r.xmin) <= age(%L::xid)', horizon & 4294967295) END
$$;

CREATE OR REPLACE FUNCTION salvage_page(table_name text, horizon bigint, behind text, before text, most integer)
RETURNS TABLE (tuple_id text, key text, data text, digest text)
-- Rows that a policy hides are an error and not left out.
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET row_security = off AS $$
BEGIN
    IF NOT is_fenced() THEN
        RAISE EXCEPTION 'rows are exported from a fenced server only';
    END IF;
    RETURN QUERY EXECUTE 'SELECT r.ctid::text, ' || salvage_key(table_name) || '::text, to_jsonb(r)::text,'
        ' md5(to_jsonb(r)::text) ' || salvage_rows(table_name, horizon, behind, before) || ' ORDER BY r.ctid LIMIT $1'
        USING most;
END $$;

CREATE OR REPLACE FUNCTION salvage_count(table_name text, horizon bigint, behind text, before text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET row_security = off AS $$
DECLARE
    found bigint;
BEGIN
    EXECUTE 'SELECT count(*) ' || salvage_rows(table_name, horizon, behind, before) INTO found;
    RETURN found;
END $$;

CREATE OR REPLACE FUNCTION salvage_compare(table_name text, keys text) RETURNS TABLE (key text, digest text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET row_security = off AS $$
DECLARE
    columns text := (
        SELECT string_agg(quote_ident(attname), ', ')
        FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = salvage_table(table_name) AND indisprimary
    );
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT %1$s::text, md5(to_jsonb(r)::text) FROM %2$s AS r'
        ' WHERE (%3$s) IN (SELECT %3$s FROM jsonb_populate_recordset(NULL::%2$s, $1::jsonb))',
        salvage_key(table_name), salvage_table(table_name), columns
    ) USING keys;
END $$;

REVOKE ALL ON FUNCTION salvage_mark() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION salvage_mark() TO monitor;
REVOKE ALL ON FUNCTION heartbeat(double precision), fence_application(text), close_other_databases(),
    open_other_databases(), end_application_sessions(), application_sessions(), lift_fence(bigint, double precision),
    is_fenced(), refuse_while_fenced(), salvage_tables(), salvage_table(text), salvage_key(text),
    salvage_rows(text, bigint, text, text), salvage_page(text, bigint, text, text, integer),
    salvage_count(text, bigint, text, text), salvage_compare(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION heartbeat(double precision), fence_application(text), end_application_sessions(),
    application_sessions(), lift_fence(bigint, double precision), is_fenced(), salvage_tables(),
    salvage_page(text, bigint, text, text, integer), salvage_count(text, bigint, text, text),
    salvage_compare(text, text) TO monitor;

-- Who is not in `application` may not connect; a fence has to take that one right only.
DO $$
BEGIN
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO monitor', current_database());
    GRANT USAGE ON SCHEMA public TO monitor; -- which is often taken from everybody
    IF NOT (SELECT fenced FROM fence) THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO application', current_database());
    END IF;
END $$;
