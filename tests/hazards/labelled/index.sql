create index bookings_status on bookings (status);
