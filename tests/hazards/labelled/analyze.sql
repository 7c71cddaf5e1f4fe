analyze bookings;
