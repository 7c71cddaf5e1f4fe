grant insert, update on bookings to public;
