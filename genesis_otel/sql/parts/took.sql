-- How long a call took, or how long until its first token; NULL if that is unknown. The columns of the reference cannot be NULL, and 0 is
-- what they hold for an unknown time. A call of the first logger may have told anything else that no call takes.
--
-- seconds: the column
if(@seconds > 0 AND @seconds <= @longest(), @seconds, NULL)
