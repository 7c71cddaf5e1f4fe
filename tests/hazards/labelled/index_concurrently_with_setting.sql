set statement_timeout = '30min';
create index concurrently bookings_status on bookings (status);
