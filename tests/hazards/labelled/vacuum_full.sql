vacuum full bookings;
