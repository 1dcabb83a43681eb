"""How each assumption about AWS is asked: functions of an account and a region that say what was seen."""
