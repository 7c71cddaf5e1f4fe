set local lock_timeout = '2s';
alter table bookings add column note text;
