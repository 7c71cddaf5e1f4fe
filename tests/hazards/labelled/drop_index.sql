drop index bookings_status;
