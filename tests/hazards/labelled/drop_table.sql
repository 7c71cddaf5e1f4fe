drop table old_bookings;
