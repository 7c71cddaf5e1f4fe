create index concurrently bookings_status on bookings (status);
