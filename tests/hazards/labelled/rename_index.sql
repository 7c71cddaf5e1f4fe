alter index bookings_status rename to bookings_by_status;
