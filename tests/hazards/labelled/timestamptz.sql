alter table bookings alter column created_at type timestamptz using created_at at time zone 'UTC';
