"""``failoverctl``: what a person on call holds in the hand, for AWS and for the lab (docs/failoverctl.md)."""
