-- Schema 6: a due deadline waits until a poll that began after it is answered.
ALTER TABLE of_deadlines ADD COLUMN decide_at double precision;  -- NULL: nothing was done yet; due_at: a poll was answered; later: it waits until then
DROP INDEX of_deadlines_due;
CREATE INDEX of_deadlines_due ON of_deadlines (coalesce(decide_at, due_at));
