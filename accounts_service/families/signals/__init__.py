"""Search Guard Signals: the accounts through which alerts are sent."""
