drop index concurrently if exists bookings_status;
