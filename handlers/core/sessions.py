"""The sessions of the user `monitor` with one database: how long one may be idle."""

# One that nobody has used for longer may have been forgotten on the way, without a word to either end: that of a
# function in a VPC is after 350 s (AWS re:Post, "How can I prevent my Lambda function connected to an Amazon VPC from
# timing out?"). The prober's second environment has work once a minute, when two runs of the monitor overlap.
UNUSED_FOR_S = 150.0
