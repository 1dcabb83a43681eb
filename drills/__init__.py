"""The local lab: a whole regional failover on one machine, with real databases and no AWS account."""
