"""The sessions of the user `monitor` with one database: how long one may be idle, and how many there may be at a time.

Only the prober and the salvage log in as that user. What else asks a database has the prober do so, or is the master
user of the Data API.
"""

# Who has a region's prober ask, at a time.
RUNS_OF_THE_MONITOR = 2  # one starts before the other ends
PROBES_OF_THE_STEPS = 3  # CheckHealth asks two databases and VerifyLag one, at the same moment
PROBES_OF_READINESS = 1  # one database after another

# Invocations of a region's prober at a time. A run of the monitor asks two databases, beside two more that it has given
# up, and for the fence's look or order once; the steps repeat what was not answered.
PROBES_AT_A_TIME = (2 + 2 + 1) * RUNS_OF_THE_MONITOR + 2 * PROBES_OF_THE_STEPS + PROBES_OF_READINESS

# Environments, of both regions, that ask one database while it answers: nothing is given up then, nor repeated, and a
# run of the monitor asks this one only. The steps run in one of the regions.
ENVIRONMENTS_AT_A_DATABASE = 2 * (2 * RUNS_OF_THE_MONITOR + PROBES_OF_READINESS) + PROBES_OF_THE_STEPS
# An environment's: the guardian's, and that of all who wait for less (see `handlers.standing.prober`). It serves
# everybody in turn, so it comes to have both.
KEPT_BY_AN_ENVIRONMENT = 2
SALVAGES = 1  # a page at a time, by a session that ends with it

# A database has to keep as many connections for the monitor (`reserved_connections`), lest applications that take all
# others refuse it the next session, by which it would ask or fence.
MOST_SESSIONS = ENVIRONMENTS_AT_A_DATABASE * KEPT_BY_AN_ENVIRONMENT + SALVAGES

# One that nobody has used for longer may have been forgotten on the way, without a word to either end: that of a
# function in a VPC is after 350 s (AWS re:Post, "How can I prevent my Lambda function connected to an Amazon VPC from
# timing out?"). The prober's second environment has work once a minute, when two runs of the monitor overlap.
UNUSED_FOR_S = 150.0
