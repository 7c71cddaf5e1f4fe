alter table bookings add column channel text;
create index concurrently bookings_channel on bookings (channel);
