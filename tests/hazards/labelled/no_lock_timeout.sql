set lock_timeout = 0;
alter table bookings add column note text;
