begin;
create index concurrently bookings_channel on bookings (channel);
commit;
