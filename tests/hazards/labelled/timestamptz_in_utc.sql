alter table bookings alter column created_at type timestamptz;
