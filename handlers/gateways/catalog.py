"""What a database's catalog is asked, by the bootstrap as the master user and by the monitor. Any role may ask it."""

from __future__ import annotations

# The role and the parameter are both of PostgreSQL 16; before, `pg_has_role` would refuse the unknown name.
RESERVED_CONNECTIONS = (
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_roles JOIN pg_auth_members ON roleid = pg_roles.oid"
    " WHERE rolname = 'pg_use_reserved_connections' AND member = to_regrole('monitor'))"
    " THEN current_setting('reserved_connections', true)::int ELSE 0 END"
)

# The databases beside this one that somebody may connect to, but for those of every cluster: no application has a
# reason to be there, and a fence closes them all the same. A limit of -2 is of one whose DROP was broken off.
OTHER_DATABASES = (
    "SELECT datname::text FROM pg_database WHERE datallowconn AND datconnlimit <> -2"
    " AND datname NOT IN (current_database(), 'postgres', 'template0', 'template1', 'rdsadmin') ORDER BY datname"
)

# Not RDS's own roles, PostgreSQL's or the monitor.
_APPLICATIONS = "NOT rolsuper AND rolname <> 'monitor' AND rolname NOT LIKE 'rds%' AND rolname NOT LIKE 'pg\\_%'"

# Who may log in by a right that the bootstrap takes from everybody: applications whose roles are not in `application`.
# Not the owner.
SHUT_OUT = (
    f"SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND {_APPLICATIONS}"  # noqa: S608
    " AND oid <> (SELECT datdba FROM pg_database WHERE datname = current_database())"
    " AND has_database_privilege(oid, current_database(), 'CONNECT')"
    " AND NOT coalesce(pg_has_role(oid, to_regrole('application'), 'usage'), false) ORDER BY rolname"
)

# Databases that a fence does not close, for they belong to somebody else than whose rights it has.
NOT_CLOSED = (
    "SELECT datname::text FROM pg_database WHERE datallowconn AND datconnlimit NOT IN (0, -2)"
    " AND datname NOT IN (current_database(), 'rdsadmin') AND NOT pg_has_role("
    "(SELECT proowner FROM pg_proc WHERE oid = to_regprocedure('close_other_databases()')), datdba, 'usage')"
    " ORDER BY datname"
)

# Roles with a CONNECT of their own in this database. A fence takes that of `application` and of everybody; from
# PostgreSQL 17 on the login trigger refuses the others as well.
PASSING = (
    "SELECT DISTINCT rolname::text FROM pg_database CROSS JOIN aclexplode(datacl) AS own"  # noqa: S608
    " JOIN pg_roles ON pg_roles.oid = grantee"
    " WHERE datname = current_database() AND privilege_type = 'CONNECT' AND grantee <> datdba"
    f" AND rolname <> 'application' AND {_APPLICATIONS}"
    " AND current_setting('server_version_num')::int < 170000 ORDER BY rolname"
)
